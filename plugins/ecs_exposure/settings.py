"""Every setting, read once from the environment (`ECS_EXPOSURE_*`) into one frozen object; `.env.example` lists them
with comments.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "ECS_EXPOSURE_"
ACCOUNT_ID = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
# IAM API reference: RoleName, a Path before it; a colon would be an ARN given by mistake.
ROLE = re.compile(r"(?:[\x21-\x2e\x30-\x39\x3b-\x7e]+/)*[\w+=,.@-]{1,64}", re.ASCII)

Words = Annotated[tuple[str, ...], NoDecode]


class SettingsError(ValueError):
    """One or more settings are wrong; the message names every variable and what it should be."""


class Settings(BaseSettings):
    """The scan's settings. Lists are comma-separated; an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore")

    organization_account_id: str | None = Field(
        None, description="Management account (or Organizations' delegated administrator) whose accounts are scanned."
    )
    partition: Literal["aws", "aws-cn", "aws-us-gov"] = Field("aws", description="AWS partition.")
    regions: Words = Field(("eu-west-1", "us-east-1"), description="Regions to scan, comma-separated.")
    include_accounts: Words = Field((), description="Scan only these accounts; empty means all of the organisation.")
    exclude_accounts: Words = Field((), description="Never scan these accounts; they show as `excluded` in coverage.")
    organization_role_name: str = Field(
        "ecs-exposure-organization", description="Role in the management account that lists the organisation."
    )
    read_role_name: str = Field("ecs-exposure-read", description="Role the scanner assumes in each account to read.")
    publish_role_name: str = Field(
        "ecs-exposure-publish", description="Role the scanner assumes in each account to import findings."
    )
    external_id: SecretStr | None = Field(None, description="External id that every assumed role demands.")
    inspector_account_id: str | None = Field(
        None, description="Amazon Inspector's delegated administrator in every Region; not set: each Region is asked."
    )
    lake: str = Field("./lake", description="Where snapshots and results lie: a folder, or s3://bucket/prefix.")
    owner_tag: str = Field("owner", description="Tag that names who owns a service.")
    publish: Literal["off", "dry-run", "on"] = Field(
        "dry-run", description="Security Hub: off, dry-run (say what would be sent), or on."
    )
    heartbeat_days: int = Field(
        30, ge=1, le=80, description="Re-send an unchanged finding after so many days; Security Hub deletes after 90."
    )
    new_findings_per_account: int = Field(
        1_000,
        ge=1,
        description="Most new findings told of one account in one night, the worst first; one finding stands for the "
        "rest, told on the nights after.",
    )
    departed_account_days: int = Field(
        7, ge=1, le=30, description="Archive the findings of an account that left the organisation after so many days."
    )
    fingerprint_key: SecretStr | None = Field(
        None,
        validate_default=True,
        description="Key of the credential fingerprints; made once in a local lake, required when it is on S3.",
    )
    rate_share: float = Field(
        0.5, gt=0, le=1, description="Share of AWS's published request rates the scanner allows itself."
    )
    threads: int = Field(16, ge=1, le=64, description="Targets collected at once inside one task.")
    max_batches: int = Field(256, ge=1, le=1024, description="Most mapped tasks of one stage.")
    epss_file: Path | None = Field(
        None, description="FIRST's EPSS scores, epss_scores-YYYY-MM-DD.csv or .csv.gz (docs/operate.md)."
    )
    kev_file: Path | None = Field(
        None, description="CISA's known_exploited_vulnerabilities, .json or .csv, plain or gz (docs/operate.md)."
    )
    vulnrichment_file: Path | None = Field(
        None,
        description="CISA's Vulnrichment: its repository as a folder or .zip, or a flat CSV or JSON lines file "
        "(docs/operate.md).",
    )
    accepted_risks_file: Path | None = Field(
        None,
        description="CSV of the risks you accept, until when and why: account,service,trait,reason,owner,"
        "accepted_date,expiry_date (docs/operate.md).",
    )
    accepted_risk_max_days: int = Field(
        365, ge=1, description="An accepted risk may last at most so many days; then somebody decides again."
    )
    sql: Path = Field(
        Path(__file__).parents[2] / "sql", description="Folder of the SQL models (the shipped one by default)."
    )

    @field_validator("regions", "include_accounts", "exclude_accounts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
        return value

    @field_validator("organization_account_id", "inspector_account_id")
    @classmethod
    def _is_account(cls, value: str | None) -> str | None:
        if value is not None and not ACCOUNT_ID.fullmatch(value):
            raise ValueError(f"{value!r} is not an AWS account id of 12 digits")
        return value

    @field_validator("include_accounts", "exclude_accounts")
    @classmethod
    def _are_accounts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in value if not ACCOUNT_ID.fullmatch(word)]:
            raise ValueError(f"{', '.join(map(repr, wrong))}: not AWS account ids of 12 digits")
        return value

    @field_validator("organization_role_name", "read_role_name", "publish_role_name")
    @classmethod
    def _is_role(cls, value: str) -> str:
        if not ROLE.fullmatch(value):
            raise ValueError(f"{value!r} is not the name of an IAM role (a path may stand before it)")
        return value

    @field_validator("regions")
    @classmethod
    def _are_regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one Region, e.g. eu-west-1")
        if wrong := [word for word in value if not REGION.fullmatch(word)]:
            raise ValueError(f"{', '.join(map(repr, wrong))}: not AWS Region names such as eu-west-1")
        return value

    @field_validator("lake")
    @classmethod
    def _is_lake(cls, value: str) -> str:
        if value.startswith("s3://"):
            if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", value):
                raise ValueError(f"{value!r} is not s3://bucket/prefix")
            return value.rstrip("/")
        if "://" in value:
            raise ValueError(f"{value!r}: a lake is a folder or s3://bucket/prefix")
        return value

    # Fields are validated in order: one that depends on another sees it when it is right by itself. A validator of the
    # whole object would only run once every field is right, and so not tell everything at once.
    @field_validator("exclude_accounts")
    @classmethod
    def _are_not_included(cls, value: tuple[str, ...], fields: ValidationInfo) -> tuple[str, ...]:
        if both := set(value) & set(fields.data.get("include_accounts", ())):
            raise ValueError(f"{', '.join(sorted(both))} also in {PREFIX}INCLUDE_ACCOUNTS")
        return value

    @field_validator("fingerprint_key")
    @classmethod
    def _is_there_on_s3(cls, value: SecretStr | None, fields: ValidationInfo) -> SecretStr | None:
        if value is None and str(fields.data.get("lake", "")).startswith("s3://"):
            raise ValueError(f"must be set when {PREFIX}LAKE is on S3: take 32 random bytes from your secret store")
        return value

    @property
    def is_remote_lake(self) -> bool:
        return self.lake.startswith("s3://")

    @cached_property
    def organization_role_arn(self) -> str:
        return self.role_arn(self.organization_account_id or "", self.organization_role_name)

    def role_arn(self, account_id: str, role_name: str) -> str:
        """ARN of a role by name (a path may stand before it) in this partition."""
        return f"arn:{self.partition}:iam::{account_id}:role/{role_name}"


def load(**overrides: object) -> Settings:
    """Settings from the environment, with explicit overrides on top.

    Raises SettingsError listing every wrong variable at once, by its name in the environment; values of secrets are not
    shown.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            name = PREFIX + str(item["loc"][0]).upper() if item["loc"] else ""
            lines.append(
                f"  {name}: {item['msg'].removeprefix('Value error, ')}"
                if name
                else f"  {item['msg'].removeprefix('Value error, ')}"
            )
        raise SettingsError("wrong settings (see .env.example):\n" + "\n".join(lines)) from None


def parse_date(text: str) -> date:
    """A day written YYYY-MM-DD. Raises SettingsError naming the text otherwise."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{text!r} is not a date written YYYY-MM-DD") from None
