"""Task definitions that someone means harm with, or that something broke: no crash, no hang, no word of what they hold,
a message that names them, and the others read as if they were not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from ecs_exposure.collectors import task_definitions
from ecs_exposure.collectors.base import TEXT_LIMIT, Context, Target
from ecs_exposure.collectors.task_definitions import DATASETS, collect_definitions, flatten
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings
from hypothesis import given, settings
from hypothesis import strategies as st

ACCOUNT, REGION, DAY, KEY = "111111111111", "eu-west-1", date(2026, 11, 2), b"k" * 32
PREFIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition"
CANARY = "c4n4ry"

Rows = dict[str, list[dict[str, Any]]]


def whole_definition(family: str = "web") -> dict[str, Any]:
    """Every member the parser reads, as ECS would answer it."""
    container = {
        "name": "web", "image": "web:1", "essential": True, "privileged": False, "user": "1000",
        "readonlyRootFilesystem": True,
        "linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}},
        "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}, {"containerPortRange": "100-110"}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
        "environment": [{"name": "DB_PASSWORD", "value": f"{CANARY}-1"}, {"name": "PLAIN", "value": f"{CANARY} 2"}],
        "secrets": [{"name": "TOKEN", "valueFrom": "arn:aws:ssm:eu-west-1:111111111111:parameter/x"}],
        "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/x.env"}],
        "command": ["serve", f"--password={CANARY}-3"], "entryPoint": ["sh", "-c", f"TOKEN={CANARY}-4x serve"],
        "healthCheck": {"command": ["CMD-SHELL", f"curl -u admin:{CANARY}-5 localhost"]},
        "dockerLabels": {"db.password": f"{CANARY}-6"},
        "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": f"{CANARY}-7x"}},
        "firelensConfiguration": {"type": "fluentbit", "options": {"http_passwd": f"{CANARY}-8"}},
    }  # fmt: skip
    return {
        "taskDefinitionArn": f"{PREFIX}/{family}:1", "family": family, "revision": 1, "status": "ACTIVE",
        "networkMode": "bridge", "pidMode": "task", "ipcMode": "none", "registeredAt": 1759320000.5,
        "taskRoleArn": "arn:aws:iam::111111111111:role/web", "executionRoleArn": "ecsTaskExecutionRole",
        "requiresCompatibilities": ["EC2"], "runtimePlatform": {"operatingSystemFamily": "LINUX"},
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
        "containerDefinitions": [container],
        "volumes": [
            {"name": "data", "host": {"sourcePath": "/srv"}},
            {"name": "share", "dockerVolumeConfiguration": {
                "driver": "local", "driverOpts": {"type": "cifs", "o": f"username=u,password={CANARY}-9"},
                "labels": {"token": f"{CANARY}-10x"}}},
        ],
    }  # fmt: skip


def rows_of(definition: Mapping[str, Any]) -> Rows:
    rows: Rows = {name: [] for name in DATASETS}
    for dataset, row in flatten(
        definition, settings=Settings(), account_id=ACCOUNT, region=REGION, snapshot_date=DAY, fingerprint_key=KEY
    ):
        rows[dataset].append(row)
    return rows


def must_hold(rows: Rows) -> None:
    """What is true of any definition's rows: they fit their tables, identify themselves, are bounded, tell no value."""
    assert len(rows["task_definition"]) == 1
    for name, found in rows.items():
        SNAPSHOTS[name].to_arrow(found)
        keys = [tuple(row[column] for column in SNAPSHOTS[name].key) for row in found]
        assert len(keys) == len(set(keys))
        for column in SNAPSHOTS[name].columns:
            assert column.nullable or all(row[column.name] is not None for row in found), (name, column.name)
        assert all(len(value) <= TEXT_LIMIT + 64 for row in found for value in row.values() if isinstance(value, str))
    assert CANARY not in repr(rows)


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


DEEP = nested(5_000)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e300, float("nan"), float("inf")]),
    st.text(st.characters(), max_size=12),  # lone surrogates as well: JSON can carry them
    st.sampled_from(["", " ", "\ud800", "\x00\x1b[2J", "=1+1", "<b>x</b>", "x" * 10_000, "漢" * 3_000, "1-99999999"]),
)
ANYTHING = st.one_of(
    SCALARS,
    st.integers(1_000, 5_000).map(nested),
    st.sampled_from([[None] * 50, [{}] * 50, {"": {}}]),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every node of a definition."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


PLACES = [path for path in places(whole_definition()) if path]


def put(definition: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    target: Any = definition
    for step in path[:-1]:
        try:
            target = target[step]
        except (KeyError, IndexError, TypeError):
            return  # an earlier replacement took the place away
    if isinstance(target, dict) or (isinstance(target, list) and isinstance(path[-1], int) and path[-1] < len(target)):
        target[path[-1]] = value


def test_the_definition_that_is_broken_below_is_read_in_full() -> None:
    rows = rows_of(whole_definition())
    must_hold(rows)
    assert {row["source"] for row in rows["credential"]} == {
        "environment", "command", "entry_point", "health_check", "docker_label", "log_option", "firelens_option",
        "volume_option",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["null", "list", "object", "empty", "number", "surrogate", "deep"])
def test_any_one_member_may_be_anything(kind: str) -> None:
    value = {"null": None, "list": [], "object": {}, "empty": "", "number": 7, "surrogate": "\ud800"}.get(kind, DEEP)
    for path in PLACES:
        definition = whole_definition()
        put(definition, path, value)
        must_hold(rows_of(definition))


def test_nulls_everywhere_are_a_definition_that_says_nothing() -> None:
    definition: dict[str, Any] = dict.fromkeys(whole_definition())
    rows = rows_of(definition)
    must_hold(rows)
    assert not rows["container"] and not rows["volume"] and not rows["credential"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=6))
def test_any_members_may_be_anything_at_once(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    definition = whole_definition()
    for path, value in changes:
        put(definition, path, value)
    must_hold(rows_of(definition))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(whole_definition())) | st.text(max_size=6), ANYTHING, max_size=8))
def test_any_object_is_flattened(definition: dict[str, Any]) -> None:
    must_hold(rows_of(definition))


def test_a_huge_definition_is_flattened() -> None:
    definition = whole_definition()
    definition["containerDefinitions"] = [
        whole_definition()["containerDefinitions"][0] | {"name": f"c{number}"} for number in range(400)
    ]
    definition["volumes"] = [{"name": f"v{number}", "host": {"sourcePath": "/x" * 5_000}} for number in range(400)]
    rows = rows_of(definition)
    must_hold(rows)
    assert len(rows["container"]) == len(rows["volume"]) == 400


def test_what_only_looks_like_a_boolean_or_a_number_is_none() -> None:
    definition = whole_definition()
    container = definition["containerDefinitions"][0]
    container |= {"privileged": "yes, please", "portMappings": [{"containerPort": "80 or so", "hostPort": 10**30}]}
    (row,) = rows_of(definition)["container"]
    assert row["is_privileged"] is False
    assert row["port_mappings"] == [{"container_port": None, "host_port": None, "protocol": "tcp"}]


# --- among others -----------------------------------------------------------------------------------------------


class Ecs:
    """DescribeTaskDefinition by ARN: an answer, an error to raise, or a list of them for one call after the other."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = dict(answers)

    def client(self, *_: str) -> Ecs:
        return self

    def describe_task_definition(self, *, taskDefinition: str) -> Any:
        answer = self._answers[taskDefinition]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def collected(answers: Mapping[str, Any]) -> tuple[Rows, str]:
    """Rows and what coverage's message says, of services that name these definitions."""
    access: Any = Ecs(answers)
    context = Context(access, Settings(), Target(ACCOUNT, REGION), DAY, {}, KEY)
    context.rows["service"] = [{"task_definition_arn": arn} for arn in answers]
    rows: Rows = {name: [] for name in DATASETS}
    for dataset, row in collect_definitions(context):
        rows[dataset].append(row)
    return rows, "; ".join(context.notes.get("task_definition", []))


GOOD = {f"{PREFIX}/good:{number}": {"taskDefinition": whole_definition("good")} for number in (1, 2)}
NOT_JSON = ResponseParserError(f"Unable to parse response: invalid XML or JSON received: b'\\xff{CANARY}'")
UNREADABLE = {
    "nothing": {},
    "no definition": {"taskDefinition": None},
    "a definition that is none": {"taskDefinition": CANARY},
    "no containers": {"taskDefinition": {"family": "bad", "containerDefinitions": None}},
    "not UTF-8": NOT_JSON,
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_one_that_cannot_be_read_is_named_and_the_others_are_as_without_it(kind: str) -> None:
    alone, nothing = collected(GOOD)
    assert nothing == ""
    bad = f"{PREFIX}/bad:7"
    rows, message = collected({bad: UNREADABLE[kind], **GOOD})
    assert rows == alone
    assert message.startswith("1 could not be read, their services' traits are unknown: bad:7: DescribeTaskDefinition")
    assert CANARY not in message


def test_one_that_is_answered_well_the_second_time_is_read() -> None:
    arn = f"{PREFIX}/late:1"
    rows, message = collected({arn: [NOT_JSON, {"taskDefinition": whole_definition("late")}]})
    assert [row["task_definition_arn"] for row in rows["task_definition"]] == [arn]
    assert message == ""


def test_one_that_may_not_be_read_is_still_said_for_all() -> None:
    """Denial is the role's, not a definition's: the dataset is denied, and nothing of it is called seen."""
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeTaskDefinition")
    with pytest.raises(ClientError, match="AccessDenied"):
        collected({f"{PREFIX}/x:1": denied, **GOOD})


def test_an_answer_about_another_definition_is_kept_as_the_one_asked_for() -> None:
    """Rows are found by the ARN that services name; an answer never overwrites another definition's rows."""
    stolen = whole_definition("good") | {"containerDefinitions": [{"name": "other"}]}
    rows, _ = collected({**GOOD, f"{PREFIX}/thief:1": {"taskDefinition": stolen}})
    named = {row["task_definition_arn"]: row["container_name"] for row in rows["container"]}
    assert named == {f"{PREFIX}/good:1": "web", f"{PREFIX}/good:2": "web", f"{PREFIX}/thief:1": "other"}


def test_what_json_can_carry_and_files_cannot_is_replaced() -> None:
    definition = json.loads('{"family": "a\\ud800b", "containerDefinitions": [{"name": "x\\udfff", "image": "i"}]}')
    rows = rows_of(definition)
    must_hold(rows)
    assert rows["task_definition"][0]["family"] == "a?b"
    assert rows["container"][0]["container_name"] == "x?"


def test_the_extractor_is_said_in_every_definition() -> None:
    (row,) = rows_of({})["task_definition"]
    assert row["extractor_version"].startswith(f"{task_definitions.EXTRACTOR_VERSION}-")
