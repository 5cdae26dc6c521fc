"""Serving with the built-in upstream beside the gateway, or beside its supervisor: on the same event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvloop

from gateway.config.models import Config
from gateway.demo import start_demo
from gateway.server.run import serve


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
        runner.run(_serve(load, on_ready))


async def _serve(load: Callable[[str], Config], on_ready: Callable[[Config, str], None]) -> None:
    demo = await start_demo()
    try:
        config = load(demo.base_url)
        await serve(config, lambda: load(demo.base_url), lambda url: on_ready(config, url))
    finally:
        await demo.close()
