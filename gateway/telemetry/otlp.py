"""OtlpReporter: spans and events by OpenTelemetry's SDK, in batches from a thread of its own.

The SDK holds some thousands of them in memory, and drops what does not fit while a collector is away. The log has
them all.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from gateway import __version__
from gateway.domain.exchange import Exchange, was_proxied
from gateway.domain.feedback import Feedback
from gateway.domain.request import Facts
from gateway.telemetry.attributes import EVALUATION, error_type, of_feedback, of_request, span_name, trace_of
from gateway.telemetry.ids import span_number, trace_number

NS_IN_US = 1000
SCOPE = "gateway"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpReporter:
    """Tells a collector over OTLP/HTTP.

    Args:
        endpoint: its base URL.
        headers: fields that it wants.
        service_name: what this gateway is called there.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str], service_name: str) -> None:
        resource = Resource.create({SERVICE_NAME: service_name, SERVICE_VERSION: __version__})
        self._ids = _GivenIds()
        self._traces = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._traces.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces", headers=dict(headers)))
        )
        self._events = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._events.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs", headers=dict(headers)))
        )
        self._tracer = self._traces.get_tracer(SCOPE, __version__)
        self._logger = self._events.get_logger(SCOPE, __version__)

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Tell of a request as a span with the ids that it came with, so that it is part of its caller's trace."""
        if not was_proxied(exchange.path):
            return
        identity = exchange.identity
        trace = trace_number(identity.trace_id)
        parent = None
        if identity.parent_span_id is not None:
            parent = _context(trace, span_number(identity.parent_span_id))
        self._ids.give(trace, span_number(identity.span_id or identity.request_id))
        span = self._tracer.start_span(
            span_name(exchange, facts),
            context=parent,
            kind=SpanKind.CLIENT,
            attributes=of_request(exchange, facts),
            start_time=exchange.started_at_us * NS_IN_US,
        )
        if error_type(exchange) is not None:
            span.set_status(Status(StatusCode.ERROR, exchange.error))
        span.end(exchange.ended_at_us * NS_IN_US)

    def observe_feedback(self, entries: Sequence[Feedback]) -> None:
        """Tell of each version as the event that there is for evaluations, in the trace that it is about."""
        for entry in entries:
            trace = trace_number(trace_of(entry))
            span = span_number(entry.request_id) if entry.request_id is not None else 0
            self._logger.emit(
                LogRecord(
                    timestamp=entry.updated_at_us * NS_IN_US,
                    context=_context(trace, span),
                    severity_number=SeverityNumber.INFO,
                    event_name=EVALUATION,
                    attributes=of_feedback(entry),
                )
            )

    def close(self) -> None:
        """Tell what is left, each kind for some seconds at most."""
        self._traces.shutdown()
        self._events.shutdown()


class _GivenIds(IdGenerator):
    """Ids that are given just before a span is started, by the same thread."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, trace: int, span: int) -> None:
        self._given.trace, self._given.span = trace, span

    def generate_trace_id(self) -> int:
        trace: int = self._given.trace
        return trace

    def generate_span_id(self) -> int:
        span: int = self._given.span
        return span


def _context(trace: int, span: int):  # type: ignore[no-untyped-def]
    where = SpanContext(trace, span, is_remote=True, trace_flags=_SAMPLED)
    return set_span_in_context(NonRecordingSpan(where))
