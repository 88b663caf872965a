"""Scans that cannot be made as asked, or have nothing to see: each says why and what to do."""

from __future__ import annotations

import pytest
from ecs_exposure.cli import app
from ecs_exposure.collectors.organizations import DiscoveryError
from ecs_exposure.gate import GateError
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import Settings, load
from embedded_aws import EmbeddedAws
from typer.testing import CliRunner, Result

from tests.faults.conftest import ALPHA, BETA, DAY, DELTA, GAMMA, coverage, results

MANAGEMENT = "111111111111"


def run_scan(lake: Lake) -> Result:
    return CliRunner().invoke(app, ["scan", "--date", str(DAY), "--lake", lake.location])


def test_the_organisation_that_cannot_be_listed_says_which_role_to_mend(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    aws.fault(service="organizations", operation="ListAccounts", code="AccessDeniedException", message="no")
    with pytest.raises(DiscoveryError, match=rf"cannot be listed from account {MANAGEMENT}: .*deploy/"):
        scan(settings, lake, DAY)


def test_no_accounts_to_scan_is_a_clear_error(aws: EmbeddedAws, lake: Lake) -> None:
    everyone = (MANAGEMENT, ALPHA, BETA, GAMMA, DELTA)
    with pytest.raises(GateError, match=r"nothing was seen|no targets"):
        scan(load(lake=lake.location, exclude_accounts=everyone), lake, DAY)


def test_an_included_account_that_does_not_exist_is_named(aws: EmbeddedAws, lake: Lake) -> None:
    with pytest.raises(DiscoveryError, match="999999999999"):
        scan(load(lake=lake.location, include_accounts=("999999999999",)), lake, DAY)


def test_accounts_without_services_give_an_empty_first_day_and_no_error(
    aws: EmbeddedAws, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_EXPOSURE_INCLUDE_ACCOUNTS", MANAGEMENT)
    told = run_scan(lake)
    assert told.exit_code == 0, told.output
    assert lake.days() == [DAY]
    for table in ("exposure", "change", "publication"):
        assert results(lake, DAY, f"select count(*) as n from night.{table}") == [{"n": 0}], table
    assert coverage(lake, DAY, MANAGEMENT, "service")["rows"] == 0


def test_missing_base_credentials_are_told_as_such(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DiscoveryError, match="AWS_PROFILE"):
        scan(settings, lake, DAY)


def test_wrong_settings_are_told_all_at_once_before_anything_is_done(
    aws: EmbeddedAws, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = aws.calls.total()
    wrong = {
        "REGIONS": "Ireland",
        "THREADS": "many",
        "PUBLISH": "perhaps",
        "READ_ROLE_NAME": "a role",
        "LAKE": "gs://b",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(f"ECS_EXPOSURE_{name}", value)
    monkeypatch.setenv("ECS_EXPOSURE_EXTERNAL_ID", "x")  # too short; its value must not be shown
    told = CliRunner().invoke(app, ["scan"])
    assert told.exit_code == 2
    for name in wrong:
        assert f"ECS_EXPOSURE_{name}:" in told.stderr
    assert aws.calls.total() == calls
    assert lake.snapshot_days() == []
