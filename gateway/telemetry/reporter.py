"""Reporter: what tells of requests and feedback, or does nothing where nobody is to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.domain.exchange import Exchange
from gateway.domain.feedback import Feedback
from gateway.domain.request import Facts
from gateway.errors import BadInput


class Reporter(Protocol):
    """Tells of what happened. Never waits for who is told, and never raises."""

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Tell of a request that was proxied and interpreted."""

    def observe_feedback(self, entries: Sequence[Feedback]) -> None:
        """Tell of versions of feedback that were stored."""

    def close(self) -> None:
        """Tell what was not told yet, for some seconds at most. Blocks."""


class Silent:
    """Tells nobody."""

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Do nothing."""

    def observe_feedback(self, entries: Sequence[Feedback]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def open_reporter(
    endpoint: str | None,
    headers: Mapping[str, str],
    service_name: str,
    *,
    has_messages: bool = False,
    has_events: bool = True,
) -> Reporter:
    """Return what tells an OpenTelemetry collector over OTLP/HTTP, or nobody.

    Args:
        endpoint: the collector's base URL, such as http://127.0.0.1:4318; None: nobody is told.
        headers: fields that it wants, such as a key.
        service_name: what this gateway is called there.
        has_messages: whether it is told what was asked and answered, where that is kept whole.
        has_events: whether it is told of feedback.

    Raises:
        BadInput: the packages that this takes are not installed.
    """
    if endpoint is None:
        return Silent()
    try:
        from gateway.telemetry.otlp import OtlpReporter
    except ImportError as error:
        raise BadInput(
            f"OpenTelemetry is not installed ({error}).",
            field="telemetry.otlp_endpoint",
            hint="pip install 'feedback-gateway[otel]'",
        ) from error
    return OtlpReporter(endpoint, headers, service_name, has_messages=has_messages, has_events=has_events)
