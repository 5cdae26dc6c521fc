"""Call: one call of the client, how its reply is decoded, and when it is sent again. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from gateway.client.errors import ConnectionFailed, TimedOut, UnexpectedReply, error_of

T = TypeVar("T")

# The outcome of one attempt.
AttemptResult = httpx.Response | httpx.RequestError

# Doubles with each further retry.
FIRST_PAUSE_SECONDS = 0.1

# A gateway whose Retry-After is longer is not called again.
MAX_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One call. It may be sent again after a failure: it only reads, or has an idempotency key."""

    method: str
    # Percent-encoded.
    path: str
    # Makes the result from the JSON of a successful reply; raises UnexpectedReply.
    read: Callable[[Any], T]
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object | None = None


def decode(model: type[T], data: object) -> T:
    """Return the model of a JSON object; unknown keys are ignored. Raises UnexpectedReply."""
    if not isinstance(data, dict):
        raise UnexpectedReply(f"the reply is no {model.__name__}")
    try:
        decoded: T = _adapter(model).validate_python(data)  # type: ignore[arg-type]  # it is hashable
    except ValidationError as error:
        raise UnexpectedReply(f"the reply is no valid {model.__name__}: {error}") from error
    return decoded


# Building an adapter takes milliseconds.
_adapter = cache(TypeAdapter)


_CONNECTION_ERRORS = (httpx.ConnectTimeout, httpx.NetworkError, httpx.RemoteProtocolError)


def conduct_call(call: Call[T], retries: int) -> Generator[float, AttemptResult, T]:
    """Yield the seconds to wait before each attempt, receive its outcome, return the call's result."""
    attempt = yield 0.0
    for retry in range(retries):
        pause = _pause_before_retry(attempt, FIRST_PAUSE_SECONDS * 2**retry)
        if pause is None:
            break
        attempt = yield pause
    return _read_result(call, attempt)


def _pause_before_retry(attempt: AttemptResult, default_seconds: float) -> float | None:
    # A timeout is not retried: the caller has said how long to wait.
    if not isinstance(attempt, httpx.Response):
        return default_seconds if isinstance(attempt, _CONNECTION_ERRORS) else None
    if attempt.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return None
    retry_after = attempt.headers.get("Retry-After", "")
    seconds = float(retry_after) if retry_after.isdecimal() else default_seconds
    return seconds if seconds <= MAX_PAUSE_SECONDS else None


def _read_result(call: Call[T], attempt: AttemptResult) -> T:
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
        raise UnexpectedReply("the reply is not JSON; is this the URL of a gateway?", attempt.status_code)
    return call.read(body)
