"""Access to AWS: one assumed role per account and purpose, clients under a request budget.

Nothing here knows a dataset. Every request a client really sends (retries included) first waits for its share of
AWS's published rate and is counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ClientError
from botocore.session import Session

from ecs_exposure.aws_errors import IncompleteAnswer, RoleError
from ecs_exposure.aws_operations import OPERATIONS, Bucket, KnownOperations
from ecs_exposure.settings import Settings

Purpose = Literal["organization", "read", "publish"]

# A refused role is coverage, with what to do about it; botocore would log a traceback for each as well.
logging.getLogger("botocore.credentials").setLevel(logging.ERROR)

GLOBAL = "global"
ROLE_SECONDS = (
    3600  # the longest an assumed role lasts when the scanner's own credentials come from a role (role chaining)
)


@cache
def _loader() -> KnownOperations:
    """The process's one loader of service models: parsing them is most of what a first client costs."""
    return KnownOperations()


class _Assumed:
    """botocore's `credential_provider` component for a session that only ever uses one assumed role."""

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> DeferredRefreshableCredentials:
        return self._credentials


class AwsAccess:
    """Clients of every account of the organisation.

    Base credentials come from the environment (botocore's default chain). Each account and purpose has one assumed
    role, refreshed by itself, with the external id of the settings and a regional STS endpoint. A client has the
    operations of `aws_operations` and no other. All sessions share one loader of service models: without it each costs
    27 MiB instead of 2.6. Thread-safe.
    """

    def __init__(self, settings: Settings, sts: Any = None) -> None:
        """`sts` assumes the roles in the scanner's own name; by default a client with the environment's credentials."""
        self._settings = settings
        self._lock = threading.RLock()
        self._loader = _loader()
        self._sessions: dict[tuple[str, Purpose], Session] = {}
        self._clients: dict[tuple[str, str, str, Purpose], Any] = {}
        self._sts = sts
        self._buckets: dict[tuple[str, str, str, str], Bucket] = {}
        self._counts: Counter[tuple[str, str, str, str]] = Counter()
        self._config = Config(
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=settings.threads,
            retries={"mode": "adaptive", "total_max_attempts": 6},
            tcp_keepalive=True,
            user_agent_extra=f"ecs-exposure/{_own_version()}",
        )

    def client(self, service: str, account_id: str, region: str, purpose: Purpose = "read") -> Any:
        """The boto3 client of a service in an account and Region, made once. Region `global` is the partition's
        pseudo Region.
        """
        key = (service, account_id, region, purpose)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._create(self._session(account_id, purpose), service, account_id, region)
            return self._clients[key]

    def assume(self, account_id: str, purpose: Purpose = "read") -> None:
        """Assume the account's role now, if it is not assumed yet. Raises RoleError, or BotoCoreError without base
        credentials.
        """
        with self._lock:
            session = self._session(account_id, purpose)
        credentials = session.get_credentials()
        if credentials is not None:  # never None: every session has its own provider
            credentials.get_frozen_credentials()

    def release(self, account_id: str) -> None:
        """Forget an account's clients and credentials (its counts stay): hundreds of accounts must not pile up."""
        with self._lock:
            for key in [key for key in self._clients if key[1] == account_id]:
                self._clients.pop(key).close()
            for owner in [owner for owner in self._sessions if owner[0] == account_id]:
                del self._sessions[owner]

    def calls(self, account_id: str, region: str, service: str | None = None) -> int:
        """Requests really sent for an account and Region, retries included."""
        with self._lock:
            return sum(
                count
                for (account, place, name, _), count in self._counts.items()
                if account == account_id and place == region and service in (None, name)
            )

    def operations(self) -> Counter[tuple[str, str]]:
        """Requests really sent by (service, operation), over all accounts and Regions."""
        total: Counter[tuple[str, str]] = Counter()
        with self._lock:
            for (_, _, service, operation), count in self._counts.items():
                total[service, operation] += count
        return total

    def role_arn(self, account_id: str, purpose: Purpose) -> str:
        """The role that is assumed in an account for a purpose."""
        settings = self._settings
        names = {
            "organization": settings.organization_role_name,
            "read": settings.read_role_name,
            "publish": settings.publish_role_name,
        }
        return settings.role_arn(account_id, names[purpose])

    def _session(self, account_id: str, purpose: Purpose) -> Session:
        key = (account_id, purpose)
        if key not in self._sessions:
            session = self._new_session()
            credentials = DeferredRefreshableCredentials(
                refresh_using=lambda: self._assume_role(account_id, purpose), method="assume-role"
            )
            session.register_component("credential_provider", _Assumed(credentials))
            self._sessions[key] = session
        return self._sessions[key]

    def _new_session(self) -> Session:
        session = Session()
        session.register_component("data_loader", self._loader)
        return session

    def _create(self, session: Session, service: str, account_id: str, region: str) -> Any:
        pseudo = _ONLY_REGIONS.get(service, _PSEUDO_REGIONS[self._settings.partition])
        place = pseudo if region == GLOBAL else region
        # What is imported is checked by our tests, maximum by maximum; botocore's check of its shape took a tenth.
        config = self._config.merge(Config(parameter_validation=service != "securityhub"))
        client = session.create_client(service, region_name=place, config=config)

        def budget(event_name: str, **_: Any) -> None:  # returns None, else botocore takes the value for the answer
            self._before_send(account_id, region, service, event_name.rpartition(".")[2])

        client.meta.events.register_first("before-send", budget)
        return client

    def _before_send(self, account_id: str, region: str, service: str, operation: str) -> None:
        rate = OPERATIONS[service][operation]
        share = self._settings.rate_share
        key = (account_id, region, service, rate.group or operation)
        with self._lock:
            if key not in self._buckets:
                self._buckets[key] = Bucket(rate.burst * share, rate.refill * share, time.monotonic())
            bucket = self._buckets[key]
            self._counts[account_id, region, service, operation] += 1
        if wait := bucket.reserve(time.monotonic()):
            time.sleep(wait)

    def _assume_role(self, account_id: str, purpose: Purpose) -> dict[str, Any]:
        region = self._settings.regions[0]
        with self._lock:
            if self._sts is None:
                # One client for all roles: STS is asked in the scanner's own name, so its calls belong to no member
                # account.
                self._sts = self._create(self._new_session(), "sts", "", region)
        arn = self.role_arn(account_id, purpose)
        external = self._settings.external_id
        request: dict[str, Any] = {"RoleArn": arn, "RoleSessionName": "ecs-exposure", "DurationSeconds": ROLE_SECONDS}
        if external is not None:
            request["ExternalId"] = external.get_secret_value()
        try:
            answer = self._sts.assume_role(**request)
        except ClientError as error:
            raise RoleError(error, arn) from None  # AWS's validation errors quote the request, external id and all
        if "Credentials" not in answer:
            raise IncompleteAnswer(f"sts AssumeRole of {arn} answered without credentials")
        credentials = answer["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }


_ONLY_REGIONS = {"globalaccelerator": "us-west-2"}  # a global service that answers in one Region only
_PSEUDO_REGIONS = {"aws": "aws-global", "aws-cn": "aws-cn-global", "aws-us-gov": "aws-us-gov-global"}


def _own_version() -> str:
    try:
        return version("ecs-exposure")
    except PackageNotFoundError:  # run from a checkout
        return "0"
