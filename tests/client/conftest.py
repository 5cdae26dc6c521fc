from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.client import GatewayClient
from tests.gateway_process import RunningGateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with the demo behind it."""
    with RunningGateway(tmp_path_factory.mktemp("gateway"), {}, arguments=("--demo",)) as running:
        yield running


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[GatewayClient]:
    with GatewayClient(gateway.url) as client:
        yield client
