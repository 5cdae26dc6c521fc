"""The signals that a gateway is told by to stop, and to read its configuration again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from gateway.config.models import Config
from gateway.errors import GatewayError
from gateway.running import changes_at_start

log = structlog.get_logger("gateway.server")


def on_signals(
    started: Config, reload: Callable[[], Config], take_over: Callable[[Config], None]
) -> asyncio.Event:
    """Return what SIGTERM and SIGINT set. On SIGHUP the configuration is read again and taken over; one that cannot
    be used changes nothing, and what only a start takes over is named."""

    def hang_up() -> None:
        try:
            new = reload()
            take_over(new)
        except (GatewayError, OSError) as error:
            log.error("configuration not reloaded; the old one stays", reason=str(error))
            return
        if fields := changes_at_start(started, new):
            log.warning("changed, but taken over only at the next start", fields=fields)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return stop
