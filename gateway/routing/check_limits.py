"""The time that a guardrail's check may take: its patterns, schemas and texts may all come from a caller."""

import math
import time
from contextvars import ContextVar

import regex

from gateway.routing.conditions import compile_pattern

# Of a check on one message.
CHECK_SECONDS = 0.1
TOO_SLOW = f"the check took longer than {CHECK_SECONDS:g} s"

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


def start_clock() -> None:
    """Let the time of a check begin, in this thread or task."""
    _ends_at.set(time.monotonic() + CHECK_SECONDS)


def seconds_left() -> float:
    """Return how long the check may still take. Raises TimeoutError once it is over."""
    left = _ends_at.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError(TOO_SLOW)
    return left


def search(pattern: regex.Pattern[str], text: str) -> bool:
    """Tell whether a pattern matches somewhere. Raises TimeoutError."""
    return pattern.search(text, timeout=seconds_left(), concurrent=True) is not None


def matches(rule: str, text: str) -> bool:
    """Tell whether a pattern of JavaScript matches somewhere; an unusable one does not. Raises TimeoutError."""
    compiled = compile_pattern(rule)
    return compiled is not None and search(compiled, text)
