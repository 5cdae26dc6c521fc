"""Serving from start to stop, in this process alone or with others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvloop

from gateway.config.models import Config
from gateway.server.alone import serve_alone
from gateway.server.supervisor import supervise


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
        await serve_alone(config, reload, on_ready)
    else:
        await supervise(config, reload, on_ready)
