"""Fixtures that every part of the suite may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from httpx._transports import default
from hypothesis import settings

from tests.browser import browser, browser_without_javascript, chromium
from tests.gateway_process import RunningGateway
from tests.postgres_server import PostgresServer, running_server

__all__ = ["browser", "browser_without_javascript", "chromium"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

# httpx reads all certificates that there are for each client, which `httpx.get` and the like make for each call:
# 18 ms of CPU, thousands of times, for calls to loopback without TLS.
default.create_ssl_context = cache(default.create_ssl_context)  # type: ignore[attr-defined]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none of them is left to one process in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started when the first test asks for one."""
    with running_server() as server:
        server.prepare()
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Where there is a new and empty database in PostgreSQL."""
    with postgres_server.database() as url:
        yield url


StartGateway = Callable[..., RunningGateway]


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Start a gateway process with this configuration; it is ended with the test.

    `start_gateway({"providers": {"up": {"base_url": url}}})`
    """
    started: list[RunningGateway] = []

    def start(config: dict[str, Any], **options: Any) -> RunningGateway:
        folder = tmp_path / f"gateway{len(started)}"
        folder.mkdir()
        gateway = RunningGateway(folder, config, **options)
        started.append(gateway)
        return gateway.start()

    yield start
    for gateway in started:
        gateway.stop()
