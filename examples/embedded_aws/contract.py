"""What the server and the fakes agree on: a decoded call goes in, output members or an AWS error come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """One API call, already decoded: `parameters` holds the operation's input members as boto3 names them; `size` is
    that of the request's body in bytes.
    """

    account_id: str
    region: str
    service: str
    operation: str
    parameters: dict[str, Any]
    size: int = 0


class AwsError(Exception):
    """An error answer as AWS would give it; the server renders it in the service's own protocol."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class NotPlayed(NotImplementedError):
    """The call is valid in AWS but this fake does not play it. Never answered with something that looks real."""


class Fake(Protocol):
    """One service, played by us because moto does not play the part of it that we rely on."""

    def call(self, call: Call) -> dict[str, Any]:
        """Output members of the operation; raises AwsError for AWS's refusals and NotPlayed for gaps."""

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON-able values, kept between runs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Replace the state by what `dump` gave; `restore({})` forgets everything."""
