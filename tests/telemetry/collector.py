"""A collector that takes OTLP over HTTP and keeps what it is told, to be read in plain words.

It also has those parts of the APIs of Phoenix and MLflow that take feedback.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What was told so far.

    Args:
        url: where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.services: set[str] = set()
        self.raw = b""
        self.attempts: list[str] = []
        """Targets of all that came, refused or not."""
        self.calls: list[tuple[str, str, Any]] = []
        """Method, target and JSON of what was not OTLP."""
        self.assessments: dict[str, dict[str, Any]] = {}
        """Of MLflow, by id."""
        self.refuse: Callable[[str, str], tuple[int, str] | None] = lambda method, target: None
        """May answer a call, given its method and target, in place of what else would."""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Keep one message and return what it is answered."""
        self.attempts.append(target)
        if (refused := self.refuse(method, target)) is not None:
            return refused[0], refused[1].encode()
        if target in ("/v1/traces", "/v1/logs"):
            self.take(target, headers, body)
            return 200, b""
        self.raw += body
        given = json.loads(body) if body else None
        self.headers.append(headers)
        self.calls.append((method, target, given))
        if "/mlflow/" not in target:
            return 200, b'{"data": []}'
        trace, _, assessment_id = target.removeprefix("/api/3.0/mlflow/traces/").partition("/assessments")
        return 200, json.dumps(self._assess(method, trace, assessment_id.strip("/"), given)).encode()

    def _assess(self, method: str, trace: str, assessment_id: str, given: Any) -> Any:
        if method == "POST":
            assessment_id = f"a-{len(self.assessments)}"
            self.assessments[assessment_id] = {**given["assessment"], "assessment_id": assessment_id}
        elif method == "PATCH":
            assert set(given["update_mask"].split(",")) == set(given["assessment"])
            self.assessments[assessment_id] |= given["assessment"]
        elif method == "DELETE":
            del self.assessments[assessment_id]
            return {}
        else:
            return {"trace": {"trace_info": {"trace_id": trace, "assessments": [*self.assessments.values()]}}}
        return {"assessment": self.assessments[assessment_id]}

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Keep one message."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.headers.append(headers)
        self.raw += body
        if path == "/v1/traces":
            for told in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.services.add(_attributes(told.resource.attributes)["service.name"])
                self.spans += [_span(span) for scope in told.scope_spans for span in scope.spans]
        elif path == "/v1/logs":
            for logged in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.events += [_event(event) for scope in logged.scope_logs for event in scope.log_records]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Have a collector on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = collector.answer(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PATCH = do_DELETE = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "status": span.status.code,
        "message": span.status.message,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        **_attributes(span.attributes),
    }


def _event(event: Any) -> dict[str, Any]:
    ids = {"trace": event.trace_id.hex(), "span": event.span_id.hex()}
    return {"name": event.event_name, **ids, **_attributes(event.attributes)}


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
