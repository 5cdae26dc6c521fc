"""Set up a process: log output, and handlers for SIGTERM, SIGINT and SIGHUP."""

import asyncio
import signal
from collections.abc import Callable

import structlog

from gateway.config.models import Config, LoggingConfig, is_human_format
from gateway.errors import GatewayError
from gateway.runtime import restart_only_changes
from gateway.server.log_output import configure_log_output

log = structlog.get_logger("gateway.server")


def configure_logs(config: LoggingConfig) -> None:
    """Write the log lines of the gateway and of its libraries to standard error."""
    configure_log_output(config.level, is_human=is_human_format(config.format))


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
