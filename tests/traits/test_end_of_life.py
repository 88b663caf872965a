"""The table of operating systems: each platform as Amazon Inspector writes it is one system or none."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
from ecs_exposure import databases

from tests.sql_harness import SQL

PLATFORMS: dict[str, str | None] = {
    "ALPINE_LINUX_2_7": "2016-11-01", "ALPINE_LINUX_3_1": "2016-11-01", "ALPINE_LINUX_3_2": "2017-05-01",
    "ALPINE_LINUX_3_20": "2026-04-01", "ALPINE_LINUX_3_23": "2027-11-01", "ALPINE_LINUX_EDGE": None,
    "AMAZON_LINUX": "2021-12-31", "AMAZON_LINUX_2018_03": "2021-12-31", "AMAZON_LINUX_2": "2026-06-30",
    "AMAZON_LINUX_2023": "2029-06-30", "CENTOS_7": "2024-06-30", "CENTOS_8": "2021-12-31",
    "DEBIAN_8": "2020-06-30", "DEBIAN_9": "2022-06-30", "DEBIAN_10": "2024-06-30", "DEBIAN_12": "2028-06-30",
    "DEBIAN_SID": None, "FEDORA_9": "2021-05-25", "FEDORA_33": "2021-11-30", "FEDORA_43": "2026-12-09",
    "OPENSUSE_LEAP_15_0": "2021-02-02", "OPENSUSE_LEAP_15_3": "2022-12-01", "OPENSUSE_LEAP_15_6": "2026-04-30",
    "ORACLE_LINUX_6": "2021-03-01", "ORACLE_LINUX_7": "2024-12-31", "ORACLE_LINUX_8": "2029-07-31",
    "PHOTON_OS_2": "2021-12-02", "PHOTON_OS_5": None, "REDHAT_ENTERPRISE_LINUX_7": "2024-06-30", "RHEL_9": "2032-05-31",
    "RED_HAT_ENTERPRISE_LINUX_8": "2029-05-31", "REDHAT_ENTERPRISE_LINUX_10": "2035-05-31",
    "ROCKY_LINUX_8_6": "2029-05-31", "ALMALINUX_9": "2032-05-31", "ALMA_LINUX_8": "2029-03-01",
    "SLES_12": "2016-06-30", "SLES_12_5": "2024-10-31", "SLES_15": "2019-12-31", "SLES_15_SP4": "2023-12-31",
    "SUSE_LINUX_ENTERPRISE_SERVER_15_7": "2031-07-31", "UBUNTU_12_04": "2017-04-28", "UBUNTU_18_04": "2023-05-31",
    "UBUNTU_20_04": "2025-05-31", "UBUNTU_22_04": "2027-04-30", "UBUNTU_23_10": "2024-07-11",
    "WINDOWS_SERVER_2012": "2023-10-10", "WINDOWS_SERVER_2012_R2": "2023-10-10",
    "WINDOWS_SERVER_2019_CORE": "2029-01-09", "WINDOWS_SERVER_2022": "2031-10-14", "WOLFI": None,
    "CHAINGUARD": None, "BOTTLEROCKET": None, "LINUX": None, "": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> duckdb.DuckDBPyConnection:
    connection = databases.connect()
    databases.attach_reference(connection, SQL)
    return connection


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_is_one_system_or_none(reference: duckdb.DuckDBPyConnection, platform: str) -> None:
    select = "select ended_on from reference.end_of_life where regexp_full_match(?, platform_pattern)"
    found = [str(ended) for (ended,) in reference.execute(select, [platform]).fetchall()]
    expected = PLATFORMS[platform]
    assert found == ([expected] if expected else [])


def test_every_system_has_a_day_and_a_source(reference: duckdb.DuckDBPyConnection) -> None:
    rows: list[tuple[Any, ...]] = reference.execute(
        "select system, ended_on, source from reference.end_of_life"
    ).fetchall()
    assert len(rows) == len({system for system, _, _ in rows}) > 100
    assert all(isinstance(ended, date) and source.startswith("https://") for _, ended, source in rows)
