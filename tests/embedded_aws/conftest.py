"""One embedded AWS for the whole folder, forgotten between tests; moto's state belongs to the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from embedded_aws import EmbeddedAws

ACCOUNT = "333333333333"
REGION = "eu-west-1"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        yield running


@pytest.fixture
def aws(server: EmbeddedAws) -> EmbeddedAws:
    server.reset()
    return server


@pytest.fixture
def ecs(aws: EmbeddedAws) -> Any:
    return aws.client("ecs", ACCOUNT, REGION)


@pytest.fixture
def once() -> Config:
    """A client configuration that does not retry, so that a test sees the first answer."""
    return Config(retries={"mode": "standard", "total_max_attempts": 1})
