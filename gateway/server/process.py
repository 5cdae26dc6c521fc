"""Set up a process: its log output, and its handlers for SIGTERM, SIGINT and SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import structlog

from gateway.config.models import Config, is_human_format
from gateway.errors import GatewayError
from gateway.runtime import restart_only_changes

_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""A traceback as JSON. Local variables are left out of it, as they may hold keys, tokens and prompts."""


def configure_logs(level: str, style: str) -> None:
    """Send the gateway's and its libraries' log lines to standard error.

    Args:
        level: least severe lines written: debug, info, warning or error.
        style: `human`, `json`, or `auto` to tell by whether standard error is a terminal.
    """
    is_human = is_human_format(style)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if is_human
        else [structlog.processors.ExceptionRenderer(_TRACEBACK), structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


log = structlog.get_logger("gateway.server")


def install_signal_handlers(
    started: Config, reload: Callable[[], Config], apply: Callable[[Config], None]
) -> asyncio.Event:
    """Return what SIGTERM and SIGINT set. On SIGHUP the configuration is read again and taken over; one that cannot
    be used changes nothing, and what only a start takes over is named."""

    def on_sighup() -> None:
        try:
            new = reload()
            apply(new)
        except (GatewayError, OSError) as error:
            log.error("configuration not reloaded; the old one stays", reason=str(error))
            return
        if fields := restart_only_changes(started, new):
            log.warning("changed, but taken over only at the next start", fields=fields)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, on_sighup)
    return stop
