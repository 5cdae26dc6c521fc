"""Reporter: exports spans and events to OpenTelemetry; logs whether they arrive."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from gateway.errors import BadInput
from gateway.models.exchange import Exchange
from gateway.models.feedback import Feedback
from gateway.models.request import Facts

log = structlog.get_logger("gateway.telemetry")

_QUEUE_FULL = "Queue full"


class DeliveryLog:
    """Logs when exports begin to fail and work again. Thread-safe."""

    def __init__(self, kind: str, url: str) -> None:
        self._kind = kind
        self._url = url
        self._lock = threading.Lock()
        self._is_failing = False
        self._has_dropped = False
        self._lost = 0

    def succeeded(self) -> None:
        """Count an export that arrived."""
        with self._lock:
            was_failing, self._is_failing = self._is_failing, False
            lost = self._take_lost() if was_failing else 0
        if was_failing:
            log.info(f"sending {self._kind} again", url=self._url, lost=lost)

    def failed(self, reason: str, lost: int = 0) -> None:
        """Count a failed export and lost items."""
        with self._lock:
            was_failing, self._is_failing = self._is_failing, True
            self._lost += lost
        if not was_failing:
            log.warning(f"cannot send {self._kind}", url=self._url, reason=reason)

    def dropped(self, reason: str, lost: int = 1) -> None:
        """Count lost items while others arrive."""
        with self._lock:
            had_dropped, self._has_dropped = self._has_dropped, True
            self._lost += lost
        if not had_dropped:
            log.warning(f"dropping some {self._kind}", url=self._url, reason=reason)

    def close(self) -> None:
        with self._lock:
            lost = self._take_lost()
        if lost:
            log.warning(f"lost {self._kind}", url=self._url, lost=lost)

    def _take_lost(self) -> int:
        lost, self._lost = self._lost, 0
        return lost


class SdkLogFilter(logging.Filter):
    # The SDK logs each attempt and each batch.

    def __init__(self) -> None:
        super().__init__()
        self._last_message = threading.local()
        self._dropped: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str) and record.msg.startswith(_QUEUE_FULL):
            self._dropped[str(record.args)] += 1
        else:
            self._last_message.last = record.getMessage()
        return False

    def reason(self) -> str:
        """Return the SDK's last line in this thread, once."""
        last: str = getattr(self._last_message, "last", "no reason is known")
        self._last_message.__dict__.pop("last", None)
        return last

    def take_dropped(self, kind: str) -> int:
        """Return how many items (`Span`, `Log`) did not fit since the last call."""
        return sum(self._dropped.pop(name) for name in list(self._dropped) if kind in name)


class Reporter:
    """Exports nothing; base of what exports requests and feedback. Never waits, never raises."""

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Export a request that was interpreted."""

    def observe_feedback(self, entries: Sequence[Feedback]) -> None:
        """Export stored versions of feedback."""

    def close(self) -> None:
        """Export the rest. Blocks for some seconds."""


def open_reporter(
    endpoint: str | None,
    headers: Mapping[str, str],
    service_name: str,
    *,
    has_messages: bool = False,
    has_events: bool = True,
) -> Reporter:
    """Return the reporter to a collector at a base URL, with messages of requests kept in full and with
    feedback events if set. Raises BadInput where packages are missing."""
    if endpoint is None:
        return Reporter()
    try:
        from gateway.telemetry.otlp import OtlpReporter
    except ImportError as error:
        raise BadInput(
            f"OpenTelemetry is not installed ({error}).",
            field="telemetry.otlp_endpoint",
            hint="pip install 'feedback-gateway[otel]'",
        ) from error
    return OtlpReporter(endpoint, headers, service_name, has_messages=has_messages, has_events=has_events)
