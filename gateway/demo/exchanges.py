"""Requests of the demo data as if they had been proxied: paths, headers, bytes, times and how they ended."""

import json

from gateway.demo.content import read_setting
from gateway.demo.replies import Body
from gateway.demo.traffic import Api, DemoCall, Failure
from gateway.demo.wire_bodies import ANSWERS, REQUESTS, STREAMS
from gateway.models.exchange import Exchange, Identity, Outcome, RawHeaders
from gateway.models.request import DEMO_KEY_NAME

_STATUSES = {Failure.RATE_LIMITED: 429, Failure.SERVER_ERROR: 500, Failure.TIMEOUT: 504}
_OUTCOMES = {
    Failure.TIMEOUT: Outcome.TIMEOUT,
    Failure.TRUNCATED: Outcome.UPSTREAM_TRUNCATED,
    Failure.CLIENT_CLOSED: Outcome.CLIENT_CLOSED,
}


def to_exchange(call: DemoCall) -> Exchange:
    """Return a planned request as if it had been proxied."""
    request_body = _to_json(REQUESTS[call.route.api](call))
    response_body, content_type = _response(call)
    return Exchange(
        identity=Identity(
            call.request_id,
            call.trace_id,
            call.span_id,
            call.parent_span_id,
            call.span_name,
            metadata=call.metadata,
        ),
        key_name=DEMO_KEY_NAME,
        provider=call.route.provider,
        endpoint=call.route.api,
        method="POST",
        path=_path(call),
        started_at_us=call.started_at_us,
        first_byte_at_us=None if call.failure is Failure.TIMEOUT else call.started_at_us + call.first_byte_us,
        ended_at_us=call.started_at_us + call.duration_us,
        status=_status(call),
        outcome=Outcome.COMPLETE if call.failure is None else _OUTCOMES.get(call.failure, Outcome.COMPLETE),
        error=_error(call),
        client_retry=call.client_retry,
        request_headers=_request_headers(call),
        request_body=request_body,
        request_size=len(request_body),
        response_headers=((b"content-type", content_type), (b"x-request-id", call.span_id.encode())),
        response_body=response_body,
        response_size=len(response_body),
    )


def _status(call: DemoCall) -> int:
    return 200 if call.failure is None else _STATUSES.get(call.failure, 200)


def _error(call: DemoCall) -> str | None:
    provider = call.route.provider
    if call.failure is Failure.TIMEOUT:
        return f"{provider} sent no byte of an answer within 60 s"
    return f"{provider} broke off its answer" if call.failure is Failure.TRUNCATED else None


def _path(call: DemoCall) -> str:
    prefix, model = f"/{call.route.provider}", call.route.model
    if call.route.api is Api.GEMINI:
        method = "streamGenerateContent?alt=sse" if call.is_stream else "generateContent"
        return f"{prefix}/v1beta/models/{model}:{method}"
    paths = {Api.CHAT: "chat/completions", Api.MESSAGES: "messages"}
    return f"{prefix}/v1/{paths.get(call.route.api, call.route.api)}"


def _request_headers(call: DemoCall) -> RawHeaders:
    parent = call.parent_span_id or call.span_id
    sent = {
        "content-type": "application/json",
        "user-agent": "demo-app/1.4",
        "traceparent": f"00-{call.trace_id}-{parent}-01",
    }
    if call.client_retry:
        sent["x-stainless-retry-count"] = str(call.client_retry)
    return tuple((name.encode(), value.encode()) for name, value in sent.items())


def _response(call: DemoCall) -> tuple[bytes, bytes]:
    if _status(call) != 200:
        return _to_json(_error_body(call)), b"application/json"
    if not call.is_stream:
        return _to_json(ANSWERS[call.route.api](call)), b"application/json"
    events = list(STREAMS[call.route.api](call))
    # Cut within an event, as connections are.
    body = b"".join(events if call.failure is None else events[: max(3, len(events) // 2)])
    return body if call.failure is None else body[:-9], b"text/event-stream"


def _error_body(call: DemoCall) -> Body:
    kinds = {429: "rate_limit_error", 500: "api_error", 504: "timeout_error"}
    status = _status(call)
    failures = read_setting().failures
    text = failures.get(str(call.failure), _error(call) or "").replace("$model", call.route.model)
    if call.route.api is Api.MESSAGES:
        return {"type": "error", "error": {"type": kinds[status], "message": text}}
    if call.route.api is Api.GEMINI:
        names = {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 504: "DEADLINE_EXCEEDED"}
        return {"error": {"code": status, "message": text, "status": names[status]}}
    return {"error": {"message": text, "type": kinds[status], "param": None, "code": None}}


def _to_json(body: Body) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
