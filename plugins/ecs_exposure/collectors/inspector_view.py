"""Through whose eyes Amazon Inspector is asked about an account: the delegated administrator's, or its own.

Both see the same findings, so exactly one of them is asked: rows of both would count double.
"""

from __future__ import annotations

from typing import Any

from ecs_exposure.aws import AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, bounded, classify, reading
from ecs_exposure.collectors import inspector
from ecs_exposure.settings import Settings


class Views:
    """Who answers for the accounts of one Region, asked once for each.

    Inspector has one delegated administrator per organisation and Region. The setting `inspector_account_id` names it;
    without the setting GetDelegatedAdminAccount is asked, by the accounts in question, until one of them names it. An
    account that the administrator does not answer for (no member, or the role there is refused) is asked itself.
    """

    def __init__(self, access: AwsAccess, settings: Settings, region: str) -> None:
        self._access = access
        self._settings = settings
        self._region = region
        self.administrator = settings.inspector_account_id
        """The Region's delegated administrator, once it is known."""

    def client(self, account_id: str) -> Any:
        return self._access.client("inspector2", account_id, self._region)

    def asked_for(self, account_id: str) -> str:
        """The account through which Inspector answers for another (or for itself).

        Raises inspector.NotScanned with coverage's status when neither the administrator nor the account itself does;
        the message tells both answers.
        """
        if self.administrator is None:
            self._discover(account_id)
        refusals: list[inspector.NotScanned] = []
        for asked in dict.fromkeys((self.administrator or account_id, account_id)):
            try:
                with reading("inspector_status"):
                    inspector.require_enabled(self.client(asked), account_id)
            except inspector.NotScanned as reason:
                refusals.append(reason)
                if reason.status == "not_enabled":
                    break  # whoever knows the account's state has told it
            except AWS_ERRORS as error:
                refusals.append(inspector.NotScanned(*classify(error)))
            else:
                return asked
        raise self._refused(refusals)

    def _discover(self, account_id: str) -> None:
        try:
            with reading("inspector_administrator"):
                named = inspector.administrator(self.client(account_id))
        except AWS_ERRORS:
            return  # it may not know or may not say: then it is asked about itself, and its answer there is what counts
        if named not in self._settings.exclude_accounts:
            self.administrator = named

    def _refused(self, refusals: list[inspector.NotScanned]) -> inspector.NotScanned:
        own = refusals[-1]
        if len(refusals) == 1:
            return own
        first = refusals[0]
        # An administrator that failed for the moment may still answer when the batch is tried again.
        status = "failed" if first.status == "failed" and own.status in ("denied", "excluded") else own.status
        own_half = bounded(str(own))[:230]
        told = f"the delegated administrator {self.administrator}: {bounded(str(first))[:200]}; the account: {own_half}"
        return inspector.NotScanned(status, told)
