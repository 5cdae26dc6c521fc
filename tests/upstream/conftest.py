from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import uvloop

from gateway.upstream.client import Upstream
from tests.upstream.scripted_server import Script, ScriptedServer

Serve = Callable[..., Awaitable[ScriptedServer]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A client that must not leave a socket behind."""
    upstream = Upstream()
    yield upstream
    await upstream.close()
    assert upstream.stats().open_connections == 0


@pytest.fixture
async def serve(upstream: Upstream) -> AsyncIterator[Serve]:
    """Start servers that play scripts."""
    servers: list[ScriptedServer] = []

    async def start(
        script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, **limits: Any
    ) -> ScriptedServer:
        server = ScriptedServer(script, **limits)
        await server.start(host=host, tls=tls)
        servers.append(server)
        return server

    yield start
    await upstream.close()
    for server in servers:
        await server.stop()
