"""The gateway that the SDKs are pointed at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo_gateway import CONFIG
from tests.gateway_fixtures import closed_port, upstream
from tests.gateway_process import RunningGateway
from tests.scripted_upstream import UpstreamProcess

__all__ = ["upstream"]


@pytest.fixture(scope="session")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway opened by `GATEWAY_KEY`, with the providers `demo` (the default), `scripted` and `refusing`."""
    providers = {
        "scripted": {"base_url": f"{upstream.url}/v1"},
        "refusing": {"base_url": f"http://127.0.0.1:{closed_port()}/v1"},
    }
    folder = tmp_path_factory.mktemp("contracts")
    with RunningGateway(folder, {**CONFIG, "providers": providers}, arguments=("--demo",)) as running:
        yield running
