"""Taking the text out of a payload and leaving its shape: what `payloads: redacted` keeps."""

from __future__ import annotations

from dataclasses import replace

import orjson

from gateway.domain.exchange import Exchange, RawHeaders, first_value
from gateway.wire import sse
from gateway.wire.content import decode
from gateway.wire.framing import read_framing
from gateway.wire.json_text import loads

KEPT_KEYS = frozenset(
    {
        "id", "object", "type", "role", "model", "finish_reason", "stop_reason", "status", "event",
        "service_tier", "system_fingerprint", "encoding_format", "tool_choice", "response_id", "item_id", "code",
        "completionReason", "invokedModelId", "stopReason", "ttl",
    }
)  # fmt: skip
"""Keys whose strings say how a call was made rather than what was said in it."""


def redact(exchange: Exchange) -> Exchange:
    """Return the exchange with every text in its bodies replaced by its length.

    Numbers, truth values, keys and the strings under KEPT_KEYS stay, so that tokens, models and finish reasons
    can still be read. A stream of JSON in any framing becomes server-sent events. A body that is none of these is
    left out whole. The sizes remain those that were forwarded. The query of the path and the headers are kept.
    """
    return replace(
        exchange,
        request_headers=_decoded(exchange.request_headers),
        request_body=_redact_body(exchange.request_body, exchange.request_headers),
        response_headers=_decoded(exchange.response_headers),
        response_body=_redact_body(exchange.response_body, exchange.response_headers),
    )


def _decoded(headers: RawHeaders) -> RawHeaders:
    return tuple(header for header in headers if header[0].lower() != b"content-encoding")


def _redact_body(encoded: bytes, headers: RawHeaders) -> bytes:
    body = decode(encoded, headers).data
    redacted = _redact_json(body)
    if redacted is not None:
        return redacted
    stream = read_framing(first_value(headers, b"content-type").decode("latin-1"), body) or sse.read_stream(
        body
    )
    return b"".join(_redact_event(event, data) for event, data in stream.arrived)


def _redact_event(event: str, data: bytes) -> bytes:
    name = b"" if event == sse.DEFAULT_EVENT else b"event: " + event.encode() + b"\n"
    return name + b"data: " + _redact_data(data) + b"\n\n"


def _redact_data(data: bytes) -> bytes:
    return data if data == b"[DONE]" else _redact_json(data) or b"[redacted %d]" % len(data)


def _redact_json(text: bytes) -> bytes | None:
    """Return JSON without its texts; None for what is no JSON, holds too much of it, or is nested too deeply
    to be gone through."""
    try:
        return orjson.dumps(_redact_value(loads(text)))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _redact_value(value: object) -> object:
    if isinstance(value, dict):
        return {key: item if _is_kept(key, item) else _redact_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact_value(item) for item in value]
    return f"[redacted {len(value)}]" if isinstance(value, str) else value


def _is_kept(key: str, value: object) -> bool:
    return key in KEPT_KEYS and isinstance(value, str)
