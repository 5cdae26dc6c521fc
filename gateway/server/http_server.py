"""HttpServer: a gateway behind aiohttp's server; accepting, draining, errors for unreadable requests."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.app import Gateway, WorkerContext, open_gateway
from gateway.config.models import Config
from gateway.routes import build_application
from gateway.runtime import require_keys
from gateway.server.client_connection import ClientConnection, Forward
from gateway.server.listeners import Listeners

log = structlog.get_logger("gateway.server")

# A shorter stall may pass unseen; those that matter add up.
LAG_SAMPLE_SECONDS = 0.25

# How long an idle client connection is kept.
KEEPALIVE_SECONDS = 75.0

# Connections that may wait to be accepted on a socket; the kernel may have a lower limit.
BACKLOG = 4096

# How long responses may take at least to be sent when the time for draining is over.
_MIN_SHUTDOWN_SECONDS = 0.1

# Sockets that accept connections, until each is stopped.
Sites = list[web.SockSite]


class _Server(web.Server):
    # Answers requests to providers; set once the gateway is open.
    forward: Forward

    def __call__(self) -> web.RequestHandler:
        return ClientConnection(self, self.forward, loop=self._loop, **self._kwargs)


class HttpRunner(web.AppRunner):
    """Runs an application on `ClientConnection`s."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        default = await super()._make_server()
        return _Server(
            default.request_handler,
            request_factory=default.request_factory,
            handler_cancellation=default.handler_cancellation,
            **default._kwargs,
        )


class HttpServer:
    """A running gateway behind aiohttp's server."""

    def __init__(self, gateway: Gateway, runner: web.AppRunner) -> None:
        self.gateway = gateway
        self._runner = runner
        self._tasks = [
            asyncio.create_task(self._close_silent_connections(), name="close silent connections"),
            asyncio.create_task(watch_loop_lag(gateway.metrics.observe_lag), name="loop lag"),
        ]

    async def accept(self, listeners: Listeners) -> Sites:
        """Accept connections on bound sockets; a site that is stopped closes its socket."""
        sites = [web.SockSite(self._runner, listener, backlog=BACKLOG) for listener in listeners]
        for site in sites:
            await site.start()
        return sites

    async def drain(self) -> None:
        """Stop accepting, and let what is in flight end."""
        loop = asyncio.get_running_loop()
        seconds = self.gateway.runtime.config.server.drain_seconds
        ends_at = loop.time() + seconds
        for site in self._runner.sites:
            await site.stop()
        # Before aiohttp shuts down, since it stops reading uploads then.
        await self.gateway.drain(seconds)
        for task in self._tasks:
            task.cancel()
        assert self._runner.server is not None
        self._runner.server.pre_shutdown()
        # aiohttp waits this long twice: for responses to be sent, and for the handlers it has cancelled.
        await self._runner.server.shutdown(max((ends_at - loop.time()) / 2, _MIN_SHUTDOWN_SECONDS))
        await self._runner.cleanup()

    async def _close_silent_connections(self) -> None:
        # aiohttp has no timeout for the first request of a connection, only KEEPALIVE_SECONDS after it. A
        # connection has its time at least once, and at most twice.
        idle_before: set[RequestHandler] = set()
        while True:
            await asyncio.sleep(self.gateway.runtime.config.server.read_timeout)
            assert self._runner.server is not None
            idle = {each for each in self._runner.server.connections if not each._request_count}
            for connection in idle_before & idle:
                connection.force_close()
            idle_before = idle


@asynccontextmanager
async def open_http_server(config: Config, worker: WorkerContext) -> AsyncIterator[HttpServer]:
    """Open a gateway that accepts no connections yet, and drain it in the end. Raises what `open_gateway` does."""
    async with open_gateway(config, worker) as gateway:
        if gateway.keys.is_open:
            require_keys(config)
        http_server = HttpServer(gateway, await _start_runner(gateway))
        _tune_garbage_collector()
        try:
            yield http_server
        finally:
            await http_server.drain()


async def _start_runner(gateway: Gateway) -> web.AppRunner:
    server = gateway.runtime.config.server
    runner = HttpRunner(
        build_application(gateway.apis, gateway.middleware),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=server.max_head_bytes,
        max_field_size=server.max_head_bytes,
        shutdown_timeout=_MIN_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    assert runner.server is not None
    # The dispatcher comes first, so that a proxied request never meets aiohttp's router.
    runner.server.request_handler = gateway.dispatcher(runner.server.request_handler)
    cast(_Server, runner.server).forward = gateway.proxy
    return runner


def _tune_garbage_collector() -> None:
    # What was loaded at start stays; requests leave few cycles, and a full collection stalls every stream.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 50)


async def watch_loop_lag(observe: Callable[[float], None]) -> None:
    """Observe, for ever, by how many seconds the event loop is late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_SAMPLE_SECONDS
        await asyncio.sleep(LAG_SAMPLE_SECONDS)
        observe(max(loop.time() - due, 0.0))
