"""What the gateway says of itself: one event a line, for people on a terminal, as JSON elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog

from gateway.config.models import are_for_people

_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
"""A traceback as JSON. Local variables are left out of it, as they may hold keys, tokens and prompts."""


def configure_logs(level: str, style: str) -> None:
    """Send the gateway's and its libraries' log lines to standard error.

    Args:
        level: least severe lines written: debug, info, warning or error.
        style: `human`, `json`, or `auto` to tell by whether standard error is a terminal.
    """
    is_human = are_for_people(style)
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
