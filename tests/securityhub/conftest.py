from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from embedded_aws import EmbeddedAws

from tests.securityhub.assessed import Assessed


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedAws]:
    """One embedded AWS for a module: real HTTP to a Security Hub that keeps its contract."""
    with EmbeddedAws() as running:
        yield running


@pytest.fixture
def aws(server: EmbeddedAws) -> EmbeddedAws:
    server.reset()
    server.securityhub.clock = lambda: datetime.now(UTC)
    server.securityhub.is_paced = False
    return server


@pytest.fixture
def assessed() -> Iterator[Assessed]:
    made = Assessed()
    yield made
    made.connection.close()
