"""Serve from start to stop: in one process or under a supervisor, with or without the demo upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
import uvloop

from gateway import __version__
from gateway.app import WorkerContext
from gateway.config.models import Config
from gateway.demo import start_demo
from gateway.server.http_server import open_http_server
from gateway.server.listeners import bind, listener_url
from gateway.server.process import install_signal_handlers
from gateway.server.supervisor import supervise

log = structlog.get_logger("gateway.server")


async def serve_in_one_process(
    config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]
) -> None:
    """Do in this process what `gateway.server.run` says."""
    async with open_http_server(config, WorkerContext()) as http_server:
        gateway = http_server.gateway

        def apply(new: Config) -> None:
            gateway.reload(new)
            log.info("configuration reloaded", providers=list(new.providers))

        listeners = bind(config.server.host, config.server.port)
        url = listener_url(config.server.host, listeners)
        await http_server.accept(listeners)
        stop = install_signal_handlers(config, reload, apply)
        log.info("started", url=url, version=__version__, providers=list(config.providers))
        on_ready(url)
        await stop.wait()
        log.info(
            "stopping", in_flight=len(gateway.proxy.in_flight), drain_seconds=config.server.drain_seconds
        )
    log.info("stopped")


def run(config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        reload: reads the configuration again; called on SIGHUP.
        on_ready: told the URL of the gateway once it answers there.

    Raises:
        GatewayError: the configuration cannot be used as it is.
        OSError: the address cannot be listened on, or a file not be read.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config, reload, on_ready))


async def serve(config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]) -> None:
    """Do what `run` says, on the running event loop."""
    if config.server.workers == 1:
        await serve_in_one_process(config, reload, on_ready)
    else:
        await supervise(config, reload, on_ready)


def run_with_demo(load: Callable[[str], Config], on_ready: Callable[[Config, str], None]) -> None:
    """Start the demo upstream on a free loopback port and serve in front of it, as `run` does.

    Args:
        load: reads the configuration, given the base URL of the demo; called again on SIGHUP.
        on_ready: told the configuration, and the URL of the gateway once it answers there.

    Raises:
        GatewayError: the configuration cannot be used as it is.
        OSError: an address cannot be listened on, or a file not be read.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_with_demo(load, on_ready))


async def _serve_with_demo(load: Callable[[str], Config], on_ready: Callable[[Config, str], None]) -> None:
    demo = await start_demo()
    try:
        config = load(demo.base_url)
        await serve(config, lambda: load(demo.base_url), lambda url: on_ready(config, url))
    finally:
        await demo.close()
