"""Set up a process: log output, and handlers for SIGTERM, SIGINT and SIGHUP."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import structlog
from structlog import stdlib

from gateway.config.models import Config, LoggingConfig, is_human_format
from gateway.errors import GatewayError
from gateway.runtime import restart_only_changes

log = structlog.get_logger("gateway.server")

# Without local variables, which may hold keys, tokens and prompts.
_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def configure_logs(config: LoggingConfig) -> None:
    """Write the log lines of the gateway and of its libraries to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        stdlib.add_logger_name,
        stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if is_human_format(config.format)
        else [structlog.processors.ExceptionRenderer(_TRACEBACK), structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, stdlib.ExtraAdder()],
        processors=[stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=config.level.upper(), force=True)
    structlog.configure(
        processors=[stdlib.filter_by_level, *shared, stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=stdlib.LoggerFactory(),
        wrapper_class=stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def install_signal_handlers(
    started: Config, reload: Callable[[], Config], apply: Callable[[Config], None]
) -> asyncio.Event:
    """Return the event that SIGTERM and SIGINT set; SIGHUP applies the configuration read anew."""

    def on_sighup() -> None:
        try:
            new = reload()
            apply(new)
        except (GatewayError, OSError) as error:
            log.error("configuration not reloaded; the old one stays", reason=str(error))
            return
        if fields := restart_only_changes(started, new):
            log.warning("changes take effect at the next start", fields=fields)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, on_sighup)
    return stop
