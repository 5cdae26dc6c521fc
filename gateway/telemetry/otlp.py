"""OtlpReporter: spans and events by OpenTelemetry's SDK, in batches on its own thread."""

import logging
import threading
from collections.abc import Mapping, Sequence
from functools import cache

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from gateway import __version__
from gateway.models.exchange import Exchange, was_proxied
from gateway.models.feedback import Feedback
from gateway.models.request import Facts
from gateway.telemetry import attributes
from gateway.telemetry.reporter import DeliveryLog, Reporter, SdkLogFilter

NS_IN_US = 1000
SCOPE = "gateway"
# Loggers of the SDK that report failed exports and full queues.
_SDK_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.sdk._shared_internal",
)
_QUEUE_FULL_REASON = "the queue is full"
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class OtlpReporter(Reporter):
    """Exports to a collector over OTLP/HTTP."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        service_name: str,
        *,
        has_messages: bool = False,
        has_events: bool = True,
    ) -> None:
        resource = Resource.create({SERVICE_NAME: service_name, SERVICE_VERSION: __version__})
        self._ids = _PresetIds()
        self._has_messages = has_messages
        self._has_events = has_events
        self._traces = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._spans = _SpanExporter(f"{endpoint}/v1/traces", headers)
        self._traces.add_span_processor(BatchSpanProcessor(self._spans))
        self._logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._events = _EventExporter(f"{endpoint}/v1/logs", headers)
        self._logs.add_log_record_processor(BatchLogRecordProcessor(self._events))
        self._tracer = self._traces.get_tracer(SCOPE, __version__)
        self._logger = self._logs.get_logger(SCOPE, __version__)

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        # With the ids that came with the request, so that the span is part of its caller's trace.
        if not was_proxied(exchange.path):
            return
        identity = exchange.identity
        trace_id = attributes.otel_trace_id(identity.trace_id)
        parent = None
        if identity.parent_span_id is not None:
            parent = _span_context(trace_id, attributes.otel_span_id(trace_id, identity.parent_span_id))
        span_id = attributes.otel_span_id(trace_id, identity.span_id or identity.request_id)
        self._ids.preset(trace_id, span_id)
        known = attributes.request_attributes(exchange, facts)
        if self._has_messages:
            known |= attributes.message_attributes(exchange)
        span = self._tracer.start_span(
            attributes.span_name(exchange, facts),
            context=parent,
            kind=trace.SpanKind.CLIENT,
            attributes=known,
            start_time=exchange.started_at_us * NS_IN_US,
        )
        if attributes.error_type(exchange) is not None:
            span.set_status(trace.Status(trace.StatusCode.ERROR, exchange.error))
        span.end(exchange.ended_at_us * NS_IN_US)

    def observe_feedback(self, entries: Sequence[Feedback]) -> None:
        for entry in entries if self._has_events else ():
            trace_id = attributes.otel_trace_id(attributes.feedback_trace_id(entry))
            span = attributes.otel_span_id(trace_id, entry.request_id) if entry.request_id is not None else 0
            self._logger.emit(
                LogRecord(
                    timestamp=entry.updated_at_us * NS_IN_US,
                    context=_span_context(trace_id, span),
                    severity_number=SeverityNumber.INFO,
                    event_name=attributes.EVALUATION_EVENT,
                    attributes=attributes.feedback_attributes(entry),
                )
            )

    def close(self) -> None:
        self._traces.shutdown()
        self._logs.shutdown()
        self._spans.delivery.close()
        self._events.delivery.close()


class _Monitor:
    """Logs whether one exporter's batches arrive."""

    def __init__(self, kind: str, url: str, item: str) -> None:
        self.delivery = DeliveryLog(kind, url)
        self._sdk_log = silence_sdk_log()
        self._item = item

    def before_export(self) -> None:
        if dropped := self._sdk_log.take_dropped(self._item):
            self.delivery.dropped(_QUEUE_FULL_REASON, dropped)

    def after_export(self, count: int, *, is_success: bool) -> None:
        if is_success:
            self.delivery.succeeded()
        else:
            self.delivery.failed(self._sdk_log.reason(), lost=count)


class _SpanExporter(OTLPSpanExporter):
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._monitor = _Monitor("spans", url, "Span")
        self.delivery = self._monitor.delivery
        super().__init__(url, headers=dict(headers))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._monitor.before_export()
        result = super().export(spans)
        self._monitor.after_export(len(spans), is_success=result is SpanExportResult.SUCCESS)
        return result


class _EventExporter(OTLPLogExporter):
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._monitor = _Monitor("feedback events", url, "Log")
        self.delivery = self._monitor.delivery
        super().__init__(url, headers=dict(headers))

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self._monitor.before_export()
        result = super().export(batch)
        self._monitor.after_export(len(batch), is_success=result is LogRecordExportResult.SUCCESS)
        return result


@cache
def silence_sdk_log() -> SdkLogFilter:
    """Keep the SDK's lines out of the log; return their filter."""
    sdk_log = SdkLogFilter()
    for name in _SDK_LOGGERS:
        # Ahead of the SDK's own filter, which lets only some pass.
        logging.getLogger(name).filters.insert(0, sdk_log)
    return sdk_log


class _PresetIds(IdGenerator):
    """Ids set just before a span is started, by the same thread."""

    def __init__(self) -> None:
        self._preset = threading.local()

    def preset(self, trace_id: int, span: int) -> None:
        self._preset.trace, self._preset.span = trace_id, span

    def generate_trace_id(self) -> int:
        trace_id: int = self._preset.trace
        return trace_id

    def generate_span_id(self) -> int:
        span: int = self._preset.span
        return span


def _span_context(trace_id: int, span: int):  # type: ignore[no-untyped-def]
    where = trace.SpanContext(trace_id, span, is_remote=True, trace_flags=_SAMPLED)
    return trace.set_span_in_context(trace.NonRecordingSpan(where))
