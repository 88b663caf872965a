"""The one Airflow connection from which every member account is reached."""

from __future__ import annotations

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from ecs_exposure.aws import AwsAccess
from ecs_exposure.settings import Settings


class EcsExposureHook(AwsBaseHook):
    """Base credentials from the Airflow connection `ecs_exposure_aws`, or boto3's default chain where there is none.

    Member accounts are reached from these by assumed role (settings' role names and external id), refreshed by
    themselves.
    """

    conn_name = "ecs_exposure_aws"

    def __init__(self) -> None:
        try:
            BaseHook.get_connection(self.conn_name)
            connection: str | None = self.conn_name
        except AirflowNotFoundException:
            connection = None
        super().__init__(aws_conn_id=connection, client_type="sts")

    def access(self, settings: Settings) -> AwsAccess:
        """Clients of every account of the organisation, see AwsAccess."""
        return AwsAccess(settings, sts=self.get_session(settings.regions[0]).client("sts"))
