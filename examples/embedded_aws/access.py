"""Who may call what: identities behind access keys, and the refusals the sample data asks for.

moto checks neither trust policies nor permissions; a scanner must meet both refusals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from embedded_aws.contract import AwsError, Call

# Used by `EmbeddedAws.client` to prepare things in any account; no rule of the sample binds it.
ADMINISTRATOR = "embedded-aws-administrator"

# IAM action prefixes that differ from boto3's client names.
_PREFIX = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}


def action_of(service: str, operation: str) -> str:
    """The IAM action of an operation (boto3's names). S3's differ, and nothing here asks for them."""
    if service in ("apigateway", "apigatewayv2"):
        return "apigateway:GET"  # API Gateway's actions are HTTP methods; nothing here writes
    return f"{_PREFIX.get(service, service)}:{operation}"


@dataclass(frozen=True)
class Principal:
    """Who signs a call. `role` is None for the scanner's own user."""

    account_id: str
    arn: str
    role: str | None = None


@dataclass
class AccountAccess:
    """One account's rules: its scanner roles with the external id each demands, and what is denied from when."""

    roles: dict[str, str | None] = field(default_factory=dict)
    denied_from_night: int | None = None
    denied_actions: dict[str, int] = field(default_factory=dict)


class Access:
    """The rules of an organisation on one night. Without any account, everything is allowed."""

    def __init__(self) -> None:
        self.accounts: dict[str, AccountAccess] = {}
        self.night = 1

    def check_assume_role(self, principal: Principal, role_arn: str, external_id: str | None) -> None:
        """Raise what STS answers when the account's trust policy does not admit the caller."""
        if not self.accounts or principal.role == ADMINISTRATOR:
            return
        matched = re.fullmatch(r"arn:[\w-]+:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]+)", role_arn)
        account = self.accounts.get(matched.group(1)) if matched else None
        name = matched.group(2) if matched else ""
        refused = (
            account is None
            or name not in account.roles
            or (account.denied_from_night is not None and account.denied_from_night <= self.night)
            or account.roles[name] not in (None, external_id)
        )
        if refused:
            # STS says the same for a role that does not exist, so as not to tell which ones do.
            raise AwsError(
                "AccessDenied",
                f"User: {principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                403,
            )

    def refused_action(self, principal: Principal, call: Call) -> str | None:
        """The IAM action that this caller's role is denied, else None."""
        account = self.accounts.get(call.account_id)
        if account is None or principal.role not in account.roles:
            return None
        action = action_of(call.service, call.operation)
        return action if account.denied_actions.get(action, self.night + 1) <= self.night else None
