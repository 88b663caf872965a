"""Task definitions in every shape people write them, flattened without a word of what they hold in clear."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from ecs_exposure.collectors.task_definitions import flatten
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

SETTINGS = Settings()
CANARY = "CANARY7f3a9c"


def flat(definition: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("task_definition", "container", "volume", "credential")
    }
    for dataset, row in flatten(
        definition,
        settings=SETTINGS,
        account_id="111111111111",
        region="eu-west-1",
        snapshot_date=date(2026, 11, 2),
        fingerprint_key=b"k" * 32,
    ):
        rows[dataset].append(row)
    for name, found in rows.items():
        SNAPSHOTS[name].to_arrow(found)
    return rows


def test_a_console_export_with_nulls_and_text() -> None:
    rows = flat(
        {
            "family": "web",
            "revision": "3",
            "networkMode": None,
            "taskRoleArn": "",
            "executionRoleArn": "ecsTaskExecutionRole",
            "containerDefinitions": [
                {
                    "name": "web", "image": "nginx", "privileged": None, "readonlyRootFilesystem": "true", "user": None,
                    "portMappings": [{"containerPort": "80", "hostPort": "0"}],
                    "linuxParameters": {"capabilities": {"add": ["CAP_sys_admin"], "drop": None}},
                    "environment": [{"name": "A", "valueFrom": "b"}, {"name": "A", "value": None}],
                },
                {"name": "web", "privileged": True},
            ],
        }
    )  # fmt: skip
    (definition,) = rows["task_definition"]
    assert (definition["network_mode"], definition["revision"], definition["task_role_arn"]) == ("bridge", 3, None)
    assert definition["execution_role_arn"] == "arn:aws:iam::111111111111:role/ecsTaskExecutionRole"
    assert definition["task_definition_arn"] == "arn:aws:ecs:eu-west-1:111111111111:task-definition/web:3"
    (container,) = rows["container"]  # the second of the name is not ECS's
    assert not container["is_privileged"] and container["is_root_filesystem_read_only"]
    assert container["capabilities_added"] == ["SYS_ADMIN"]
    assert container["port_mappings"] == [{"container_port": 80, "host_port": 0, "protocol": "tcp"}]


@pytest.mark.parametrize(
    ("volume", "kind", "path"),
    [
        ({"host": {}}, "ephemeral", None),
        ({"host": None}, "ephemeral", None),
        ({"host": {"sourcePath": ""}}, "ephemeral", None),
        ({"host": {"sourcePath": "/var/run/docker.sock"}}, "host", "/var/run/docker.sock"),
        ({"host": {"sourcePath": r"\\.\pipe\docker_engine"}}, "host", r"\\.\pipe\docker_engine"),
        ({"efsVolumeConfiguration": {"fileSystemId": "fs-1"}, "host": {}}, "efs", None),
        ({"dockerVolumeConfiguration": {"driver": "local"}}, "docker", None),
        (
            {
                "dockerVolumeConfiguration": {
                    "driver": "local",
                    "driverOpts": {"type": "none", "o": "rw,bind", "device": "/etc"},
                }
            },
            "docker",
            "/etc",
        ),
        (
            {"dockerVolumeConfiguration": {"driverOpts": {"type": "cifs", "o": "bind", "device": "//n/s"}}},
            "docker",
            None,
        ),
        ({"configuredAtLaunch": True}, "configured_at_launch", None),
    ],
)
def test_only_a_source_path_or_a_bind_exposes_the_host(volume: dict[str, Any], kind: str, path: str | None) -> None:
    (row,) = flat({"family": "f", "volumes": [{"name": "v", **volume}]})["volume"]
    assert (row["kind"], row["host_path"]) == (kind, path)


@pytest.mark.parametrize(
    ("said", "family"),
    [
        ({"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}}, "WINDOWS_SERVER_2022_CORE"),
        ({"runtimePlatform": {"operatingSystemFamily": "linux", "cpuArchitecture": "ARM64"}}, "LINUX"),
        ({"placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == windows"}]}, "WINDOWS"),
        ({"placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}]}, None),
        ({"placementConstraints": [{"expression": None}, 7, None]}, None),
        ({"runtimePlatform": None}, None),
        ({}, None),
    ],
)
def test_the_operating_system_is_the_platforms_or_the_placements(said: dict[str, Any], family: str | None) -> None:
    (row,) = flat({"family": "f", **said})["task_definition"]
    assert row["operating_system_family"] == family


def test_nothing_that_stands_in_clear_is_kept() -> None:
    rows = flat(
        {
            "family": "f",
            "containerDefinitions": [
                {
                    "name": "c",
                    "environment": [
                        {"name": "DB_PASSWORD", "value": f"x1{CANARY}"},
                        {"name": "PLAIN", "value": CANARY},
                    ],
                    "command": [f"--token={CANARY}1234", CANARY],
                    "entryPoint": [CANARY],
                    "healthCheck": {"command": [CANARY]},
                    "dockerLabels": {"label": CANARY},
                    "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": f"{CANARY}99"}},
                    "firelensConfiguration": {"type": "fluentd", "options": {"o": CANARY}},
                }
            ],
            "volumes": [
                {"name": "v", "dockerVolumeConfiguration": {"driverOpts": {"o": f"username=u,password={CANARY}1"}}}
            ],
        }
    )
    assert {row["source"] for row in rows["credential"]} >= {"environment", "command", "log_option", "volume_option"}
    assert CANARY not in repr(rows)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = [
    *("name", "image", "essential", "privileged", "user", "portMappings", "mountPoints", "environment"),
    *("secrets", "command", "healthCheck", "linuxParameters"),
    *("logConfiguration", "dockerLabels", "host", "dockerVolumeConfiguration"),
]
_ITEM = st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=8)


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries({}, optional={"containerDefinitions": st.lists(_ITEM, max_size=3) | _JSON}),
    st.lists(_ITEM, max_size=3),
    st.dictionaries(st.sampled_from(["family", "revision", "networkMode", "taskRoleArn", "registeredAt"]), _JSON),
)
def test_any_json_gives_rows_of_the_schema(
    containers: dict[str, Any], volumes: list[Any], rest: dict[str, Any]
) -> None:
    rows = flat({**containers, "volumes": volumes, **rest})
    assert len(rows["task_definition"]) == 1
    for name, found in rows.items():
        keys = [tuple(row[column] for column in SNAPSHOTS[name].key) for row in found]
        assert len(keys) == len(set(keys))
        for column in SNAPSHOTS[name].columns:
            assert column.nullable or all(row[column.name] is not None for row in found), (name, column.name)
