"""What every process that serves does: open a gateway, let callers in, and in the end let all of them finish."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.app import open_gateway
from gateway.config.models import Config
from gateway.provisioning import refuse_without_keys
from gateway.running import Gateway, Worker
from gateway.server.connections import Runner
from gateway.server.listeners import Listeners
from gateway.server.stalls import watch_stalls
from gateway.urls import build_faces

KEEPALIVE_SECONDS = 75.0
"""How long a caller's idle connection is kept."""

BACKLOG = 4096
"""Connections that may wait to be accepted on a socket; the kernel may have a lower limit of its own."""

Doors = list[web.SockSite]
"""Sockets on which callers are let in, until each is stopped."""


class House:
    """A gateway at work behind an HTTP server."""

    def __init__(self, gateway: Gateway, runner: web.AppRunner) -> None:
        self.gateway = gateway
        self._runner = runner
        self._tasks = [
            asyncio.create_task(self._let_go_of_the_silent(), name="letting go of the silent"),
            asyncio.create_task(watch_stalls(gateway.metrics.observe_lag), name="watching for stalls"),
        ]

    async def let_in(self, listeners: Listeners) -> Doors:
        """Accept callers on bound sockets, which are closed with the doors."""
        doors = [web.SockSite(self._runner, listener, backlog=BACKLOG) for listener in listeners]
        for door in doors:
            await door.start()
        return doors

    async def drain(self) -> None:
        """Stop accepting, and give what is in flight its time. Left alone, aiohttp would read uploads no more."""
        for door in self._runner.sites:
            await door.stop()
        await self.gateway.proxy.in_flight.drain(self.gateway.config.server.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await self._runner.cleanup()

    async def _let_go_of_the_silent(self) -> None:
        """Close connections on which no request has come within its time, nor within that time again. aiohttp
        itself waits for ever for the first; those that come after it have KEEPALIVE_SECONDS."""
        silent: set[RequestHandler] = set()
        while True:
            await asyncio.sleep(self.gateway.config.server.read_timeout)
            assert self._runner.server is not None
            unheard = {each for each in self._runner.server.connections if not each._request_count}
            for connection in silent & unheard:
                connection.force_close()
            silent = unheard


@asynccontextmanager
async def serving(config: Config, worker: Worker) -> AsyncIterator[House]:
    """Have a gateway at work, which lets nobody in yet. In the end it is drained, and all that it took is stored.

    Raises:
        GatewayError: the configuration cannot be used as it is.
        OSError: a file cannot be read.
    """
    gateway = await open_gateway(config, worker)
    try:
        await gateway.start()
        if gateway.keys.is_open:
            refuse_without_keys(config)
        house = House(gateway, await _run_server(gateway))
        _spare_collections()
        try:
            yield house
        finally:
            await house.drain()
    finally:
        await gateway.close()


async def _run_server(gateway: Gateway) -> web.AppRunner:
    server = gateway.config.server
    runner = Runner(
        build_faces(gateway.faces, gateway.guard),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=server.max_head_bytes,
        max_field_size=server.max_head_bytes,
        shutdown_timeout=server.drain_seconds,
    )
    await runner.setup()
    assert runner.server is not None
    # Every request passes the front door first, so that a proxied one never meets aiohttp's router.
    runner.server.request_handler = gateway.front_door(runner.server.request_handler)
    return runner


def _spare_collections() -> None:
    """Keep the garbage collector off what was loaded at start and stays, and let it come less often: requests
    leave hardly any cycles behind, and each full look at the heap holds up every stream."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 50)
