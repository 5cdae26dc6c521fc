"""When a call is sent again, and when it has failed. Nothing here does I/O or waits.

Source for Retry-After: RFC 9110, section 10.2.3; only its form in seconds, which is the gateway's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import httpx

from gateway.client.calls import Call
from gateway.client.errors import ConnectionFailed, TimedOut, UnexpectedReply, error_of

T = TypeVar("T")

Attempt = httpx.Response | httpx.RequestError
"""What came of sending a call once."""

FIRST_PAUSE_SECONDS = 0.1
"""Pause before the first retry; it doubles with each further one."""

MAX_PAUSE_SECONDS = 10.0
"""A gateway that asks for a longer pause than this is not asked again."""

_BROKEN_OFF = (httpx.ConnectTimeout, httpx.NetworkError, httpx.RemoteProtocolError)


def outcome(call: Call[T], retries: int) -> Generator[float, Attempt, T]:
    """Conduct a call: yields how many seconds to wait before sending it, takes what came of it, and returns
    the result in the end.

    A reply that does not come in time is not waited for again, since the caller has said how long to wait.

    Raises:
        GatewayClientError: it failed, as often as it was to be tried.
    """
    attempt = yield 0.0
    for retry in range(retries):
        pause = _pause(attempt, FIRST_PAUSE_SECONDS * 2**retry)
        if pause is None:
            break
        attempt = yield pause
    return _result(call, attempt)


def _pause(attempt: Attempt, default_seconds: float) -> float | None:
    """Seconds after which the call may be sent again; None where it must not, or need not."""
    if not isinstance(attempt, httpx.Response):
        return default_seconds if isinstance(attempt, _BROKEN_OFF) else None
    if attempt.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return None
    asked = attempt.headers.get("Retry-After", "")
    seconds = float(asked) if asked.isdecimal() else default_seconds
    return seconds if seconds <= MAX_PAUSE_SECONDS else None


def _result(call: Call[T], attempt: Attempt) -> T:
    if isinstance(attempt, httpx.TimeoutException):
        raise TimedOut(f"no reply in time from {attempt.request.url}") from attempt
    if isinstance(attempt, httpx.RequestError):
        raise ConnectionFailed(f"{attempt.request.url} cannot be reached: {attempt}") from attempt
    try:
        body = attempt.json()
    except ValueError:
        body = None
    if not attempt.is_success:
        raise error_of(attempt.status_code, body)
    if body is None:
        raise UnexpectedReply("the reply is no JSON; is this the URL of a gateway?", attempt.status_code)
    return call.read(body)
