"""What can go wrong when AWS is asked, told in coverage's words: a status, and a message that says what to do."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from ecs_exposure.settings import PREFIX

Status = Literal["denied", "not_enabled", "excluded", "failed"]

MESSAGE_LIMIT = 500


class IncompleteAnswer(Exception):
    """AWS answered 200 but without what the operation must return, e.g. a list operation without its list: never an
    empty list.
    """


class RoleError(ClientError):
    """A role could not be assumed. `role_arn` names it; the text never quotes AWS's own, which may hold the external
    id.
    """

    def __init__(self, error: ClientError, role_arn: str) -> None:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        super().__init__({"Error": {"Code": code, "Message": f"cannot assume {role_arn}"}}, "AssumeRole")
        self.role_arn = role_arn
        self.is_organization_policy = bool(_ORGANIZATION_POLICY.search(_text(error)))


class NotOffered(Exception):
    """The service does not exist in this partition: nothing of it can be there."""


class UnreadableAnswer(Exception):
    """AWS answered in a shape that could not be read. Told by the place in our code, never by the answer: that could
    hold a container's settings.
    """


_SHAPE_ERRORS = (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Reads answers inside: what an unexpected shape raises, in botocore or in a collector, becomes UnreadableAnswer.

    One odd answer must not take the other accounts of a batch with it.
    """
    try:
        yield
    except AWS_ERRORS:  # some are ValueErrors
        raise
    except _SHAPE_ERRORS as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        # Not chained: a traceback would quote the answer.
        raise UnreadableAnswer(f"the answer for {what} cannot be read ({type(error).__name__} at {where})") from None


AWS_ERRORS: tuple[type[Exception], ...] = (
    ClientError,
    BotoCoreError,
    ResponseParserError,
    IncompleteAnswer,
    UnreadableAnswer,
    NotOffered,
)
"""What a call to AWS may raise. Anything else is a programming error and is caught nowhere but by `reading`."""

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AccessDeniedForDependencyException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
}
# What services answer in a Region the account has not opted in to: the session's token means nothing there.
_REGION_OFF = {"RegionDisabledException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"}
_NOT_ENABLED = {
    "InvalidAccessException",  # Security Hub
    "AWSOrganizationsNotInUseException",
    "OptInRequired",  # "You are not subscribed to this service"
    "SubscriptionRequiredException",
}
_NOT_ENABLED_TEXT = re.compile(
    r"account does not have access to api|not subscribed to|is not enabled|not been enabled|has not enabled",
    re.IGNORECASE,
)
_ORGANIZATION_POLICY = re.compile(r"explicit deny in an? (service|resource) control policy", re.IGNORECASE)
_ENCODED = re.compile(r"Encoded authorization failure message:\s*\S+", re.IGNORECASE)
_SERVICES_THAT_ARE_SWITCHED_ON = {
    "BatchImportFindings",
    "GetFindings",
    "ListFindings",
    "ListCoverage",
    "BatchGetFindingDetails",
}


def classify(error: Exception) -> tuple[Status, str]:
    """Coverage's status for an error of AWS_ERRORS, and a message of at most 500 characters that says what to do.

    The message holds AWS's code and text (never a request, a container's settings or a credential). Other exceptions
    are programming errors: give them to nobody but the traceback.
    """
    status, text = _classify(error)
    return status, bounded(text)


def bounded(text: str) -> str:
    """A message fit for coverage: one line, no control characters, at most 500 characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"


def _classify(error: Exception) -> tuple[Status, str]:
    if isinstance(error, RoleError):
        return _classify_role(error)
    if isinstance(error, ClientError):
        return _classify_client(error)
    if isinstance(error, NotOffered):
        return "not_enabled", str(error)
    if isinstance(error, IncompleteAnswer):
        return "failed", f"incomplete answer: {error}; nothing of it was kept, the next run asks again"
    if isinstance(error, UnreadableAnswer):
        return "failed", f"{error}; if the next run says the same, report it with this text"
    if isinstance(error, NoCredentialsError):
        return "failed", "the scanner has no AWS credentials of its own: give it a role or set AWS_PROFILE"
    if isinstance(error, ReadTimeoutError):
        return "failed", f"{error}; AWS was too slow, the next run asks again"
    return "failed", f"{type(error).__name__}: {error}"


def _classify_role(error: RoleError) -> tuple[Status, str]:
    code, arn = _code(error), error.role_arn
    account = arn.split(":")[4]
    if error.is_organization_policy:
        return (
            "excluded",
            f"a policy of the organisation forbids assuming {arn}; exclude account {account} or change the policy",
        )
    if code in _DENIED:
        return "denied", (
            f"cannot assume {arn}: deploy the scanner's roles (deploy/) to account {account}, check that the role "
            f"trusts the scanner and that its external id is {PREFIX}EXTERNAL_ID; or name the account in "
            f"{PREFIX}EXCLUDE_ACCOUNTS"
        )
    if code in _REGION_OFF:
        return "failed", f"cannot assume {arn} ({code}): the scanner's own AWS credentials are not valid, renew them"
    return "failed", f"cannot assume {arn}: STS answered {code}"


def _classify_client(error: ClientError) -> tuple[Status, str]:
    code, operation, text = _code(error), error.operation_name, _text(error)
    said = f"{operation}: {code}: {_ENCODED.sub('', text)}"
    if code in _DENIED:
        if _ORGANIZATION_POLICY.search(text):
            return "excluded", f"a policy of the organisation denies this call ({said})"
        if operation in _SERVICES_THAT_ARE_SWITCHED_ON and _NOT_ENABLED_TEXT.search(text):
            return "not_enabled", f"switch the service on in this account and Region ({said})"
        return "denied", f"the role may not make this call; update the scanner's roles from deploy/ ({said})"
    if code in _REGION_OFF:
        return (
            "excluded",
            f"the Region is not enabled in this account; leave it out of {PREFIX}REGIONS or opt in ({said})",
        )
    if code in _NOT_ENABLED:
        return "not_enabled", f"switch the service on in this account and Region ({said})"
    return "failed", said


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def _text(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))
