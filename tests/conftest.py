"""Fixtures that every part of the suite may use."""

from __future__ import annotations

import gc
import signal
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
from tests.sqlite_file import create_database

__all__ = ["browser", "browser_without_javascript", "chromium"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

# httpx reads all certificates that there are for each client, which `httpx.get` and the like make for each call:
# 18 ms of CPU, thousands of times, for calls to loopback without TLS.
default.create_ssl_context = cache(default.create_ssl_context)  # type: ignore[attr-defined]

# A shell that runs tests in its background has it ignored, which all processes that tests start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# All that is collected stays, and the garbage collector would look through it again and again: a quarter of the
# time that collecting takes.
gc.disable()


def pytest_collection_finish() -> None:
    """Set aside what was collected, and look for garbage again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none of them is left to one process in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes that are no text by their argument: gzip's carry the second, and all processes must agree."""
    if isinstance(val, bytes) and not val.isascii():
        return argname
    return None


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where there is a new SQLite file with all tables and no row: `gateway.db` in the test's folder."""
    create_database(tmp_path / "gateway.db")
    return f"sqlite:///{tmp_path}/gateway.db"


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
