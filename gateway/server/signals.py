"""The signals that a gateway is told by to stop, and to read its configuration again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from gateway.config.models import Config
from gateway.errors import GatewayError

log = structlog.get_logger("gateway.server")


def on_signals(reload: Callable[[], Config], take_over: Callable[[Config], None]) -> asyncio.Event:
    """Return what SIGTERM and SIGINT set. On SIGHUP the configuration is read again and taken over; one that cannot
    be used changes nothing."""

    def hang_up() -> None:
        try:
            take_over(reload())
        except (GatewayError, OSError) as error:
            log.error("configuration not reloaded; the old one stays", reason=str(error))

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return stop
