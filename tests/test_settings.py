"""Settings: every error at once, by the variable's name, and never a secret's value."""

from __future__ import annotations

import pytest
from ecs_exposure.settings import SettingsError, load


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("ECS_EXPOSURE_"):
            monkeypatch.delenv(name)


def test_all_wrong_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_EXPOSURE_REGIONS", "eu-west-1,Ireland")
    monkeypatch.setenv("ECS_EXPOSURE_INCLUDE_ACCOUNTS", "12345")
    monkeypatch.setenv("ECS_EXPOSURE_PUBLISH", "yes")
    monkeypatch.setenv("ECS_EXPOSURE_LAKE", "gs://bucket")
    with pytest.raises(SettingsError) as caught:
        load()
    for name in ("REGIONS", "INCLUDE_ACCOUNTS", "PUBLISH", "LAKE"):
        assert f"ECS_EXPOSURE_{name}:" in str(caught.value)


def test_lists_are_comma_separated_and_empty_means_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_EXPOSURE_REGIONS", "eu-west-1, us-gov-west-1,eu-west-1")
    monkeypatch.setenv("ECS_EXPOSURE_EXTERNAL_ID", "")
    settings = load()
    assert settings.regions == ("eu-west-1", "us-gov-west-1")
    assert settings.external_id is None
    assert settings.publish == "dry-run"


def test_an_account_cannot_be_both_included_and_excluded() -> None:
    with pytest.raises(SettingsError, match="111111111111"):
        load(include_accounts=("111111111111",), exclude_accounts=("111111111111",))


def test_a_lake_on_s3_demands_a_fingerprint_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="ECS_EXPOSURE_FINGERPRINT_KEY"):
        load(lake="s3://bucket/prefix")
    monkeypatch.setenv("ECS_EXPOSURE_FINGERPRINT_KEY", "hunter2-hunter2")
    settings = load(lake="s3://bucket/prefix/")
    assert settings.lake == "s3://bucket/prefix"
    assert "hunter2" not in repr(settings)


def test_role_arns_are_partition_aware() -> None:
    settings = load(partition="aws-cn", regions=("cn-north-1",))
    assert (
        settings.role_arn("111111111111", settings.read_role_name)
        == "arn:aws-cn:iam::111111111111:role/ecs-exposure-read"
    )


def test_variables_that_disagree_are_told_together_with_those_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_EXPOSURE_REGIONS", "Ireland")
    monkeypatch.setenv("ECS_EXPOSURE_LAKE", "s3://bucket/prefix")
    monkeypatch.setenv("ECS_EXPOSURE_INCLUDE_ACCOUNTS", "111111111111")
    monkeypatch.setenv("ECS_EXPOSURE_EXCLUDE_ACCOUNTS", "111111111111")
    with pytest.raises(SettingsError) as caught:
        load()
    for name in ("REGIONS", "FINGERPRINT_KEY", "EXCLUDE_ACCOUNTS"):
        assert f"ECS_EXPOSURE_{name}:" in str(caught.value)


@pytest.mark.parametrize("name", ["a role", "arn:aws:iam::111111111111:role/reader", "", "x" * 65])
def test_a_role_is_given_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match="ECS_EXPOSURE_READ_ROLE_NAME"):
        load(read_role_name=name)
    assert load(read_role_name="security/ecs-exposure-read").read_role_name.endswith("read")
