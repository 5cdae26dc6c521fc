"""One process that serves: its event loop, its socket, its signals, and its end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web

from gateway import __version__
from gateway.app import Gateway, open_gateway
from gateway.config.models import Config, is_loopback
from gateway.errors import BadInput, GatewayError
from gateway.urls import build_faces

log = structlog.get_logger("gateway.server")

KEEPALIVE_SECONDS = 75.0
"""How long a caller's idle connection is kept."""

Ready = Callable[[str], None]
"""Told the URL of the gateway once it answers there."""


def run(config: Config, reload: Callable[[], Config], on_ready: Ready) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        reload: reads the configuration again; called on SIGHUP.

    Raises:
        GatewayError: the configuration cannot be used as it is.
        OSError: the address cannot be listened on, or a file not be read.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config, reload, on_ready))


async def serve(config: Config, reload: Callable[[], Config], on_ready: Ready) -> None:
    """Do what `run` says, on the running event loop."""
    stop = asyncio.Event()
    gateway = await open_gateway(config)
    try:
        await gateway.start()
        _refuse_open_house(gateway)
        runner = await _listen(gateway)
        try:
            _on_signals(stop, gateway, reload)
            _spare_collections()
            url = _url(config, runner)
            log.info("started", url=url, version=__version__, providers=list(config.providers))
            on_ready(url)
            await stop.wait()
            log.info(
                "stopping", in_flight=len(gateway.proxy.in_flight), drain_seconds=config.server.drain_seconds
            )
        finally:
            await _drain(gateway, runner)
    finally:
        await gateway.close()
    log.info("stopped")


async def _listen(gateway: Gateway) -> web.AppRunner:
    server = gateway.config.server
    runner = web.AppRunner(
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
    try:
        await web.TCPSite(runner, server.host, server.port, backlog=4096).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


async def _drain(gateway: Gateway, runner: web.AppRunner) -> None:
    """Stop accepting, and give what is in flight its time. Left to itself, aiohttp would no longer read uploads."""
    for site in runner.sites:
        await site.stop()
    await gateway.proxy.in_flight.drain(gateway.config.server.drain_seconds)
    await runner.cleanup()


def _refuse_open_house(gateway: Gateway) -> None:
    server = gateway.config.server
    if gateway.keys.is_open and server.auth != "off" and not is_loopback(server.host):
        raise BadInput(
            f"{server.host} can be reached from other machines, but no keys are configured.",
            field="server.host",
            hint="Add keys, make one with `gateway keys create`, or say `auth: off` under server.",
        )


def _on_signals(stop: asyncio.Event, gateway: Gateway, reload: Callable[[], Config]) -> None:
    def take_over() -> None:
        try:
            gateway.reload(reload())
        except (GatewayError, OSError) as error:
            log.error("configuration not reloaded; the old one stays", reason=str(error))
        else:
            log.info("configuration reloaded", providers=list(gateway.config.providers))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, take_over)


def _spare_collections() -> None:
    """Keep the garbage collector off what was loaded at start and stays, and let it come less often: requests
    leave hardly any cycles behind, and each full look at the heap holds up every stream."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 20, 50)


def _url(config: Config, runner: web.AppRunner) -> str:
    host = config.server.host
    port = runner.addresses[0][1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
