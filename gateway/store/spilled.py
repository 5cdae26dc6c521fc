"""An exchange as bytes and back: a length-prefixed JSON head, then both bodies. Safe to read, whoever wrote
it."""

from __future__ import annotations

import struct
from typing import Any

import orjson

from gateway.domain.exchange import Exchange, Identity, Omission, Outcome, PayloadPolicy, RawHeaders
from gateway.store.packing import headers_from_json, headers_to_json
from gateway.store.secrets import path_without_secrets, without_secrets
from gateway.store.text import from_json, storable, to_json

VERSION = 1

_LENGTHS = struct.Struct("<II")
"""Lengths of the head and of the request body, in bytes; the response body is the rest."""

_IDS = ("request_id", "trace_id", "span_id", "parent_span_id", "span_name")
_TEXTS = ("tenant", "key_name", "provider", "endpoint", "method", "error", "cache_status")
_NUMBERS = (
    "started_at_us", "first_byte_at_us", "ended_at_us", "status", "attempt", "client_retry", "request_size",
    "response_size",
)  # fmt: skip


def encode(exchange: Exchange) -> bytes:
    """Return an exchange as bytes, without its secrets, and without what may not be kept of its payload."""
    request_body = exchange.request_body if exchange.keeps_request else b""
    response_body = exchange.response_body if exchange.keeps_response else b""
    head = orjson.dumps(_head(exchange))
    return _LENGTHS.pack(len(head), len(request_body)) + head + request_body + response_body


def decode(record: bytes) -> Exchange:
    """Return the exchange that `encode` was given, as far as it was kept."""
    head_length, request_length = _LENGTHS.unpack_from(record)
    head_end = _LENGTHS.size + head_length
    head: dict[str, Any] = orjson.loads(record[_LENGTHS.size : head_end])
    return Exchange(
        identity=Identity(**{name: head[name] for name in _IDS}, metadata=from_json(head["metadata"])),
        # Files of an earlier version do not have all numbers.
        **{name: head[name] for name in (*_TEXTS, *_NUMBERS, "path") if name in head},
        outcome=Outcome(head["outcome"]),
        payloads=PayloadPolicy(head["payloads"]),
        # Files of an earlier version do not say.
        omission=Omission(**head.get("omission", {})),
        request_headers=headers_from_json(head["request_headers"]),
        request_body=record[head_end : head_end + request_length],
        response_headers=headers_from_json(head["response_headers"]),
        response_body=record[head_end + request_length :],
    )


def _head(exchange: Exchange) -> dict[str, object]:
    texts = {name: getattr(exchange.identity, name) for name in _IDS}
    texts |= {name: getattr(exchange, name) for name in _TEXTS}
    return {
        "version": VERSION,
        **{name: None if text is None else storable(text) for name, text in texts.items()},
        **{name: getattr(exchange, name) for name in _NUMBERS},
        "path": storable(path_without_secrets(exchange.path)),
        "outcome": exchange.outcome.value,
        "payloads": exchange.payloads.value,
        "omission": exchange.omission,
        "metadata": to_json(exchange.identity.metadata),
        "request_headers": _headers(exchange.request_headers if exchange.keeps_request else ()),
        "response_headers": _headers(
            exchange.response_headers if exchange.keeps_response else _content_type(exchange)
        ),
    }


def _headers(headers: RawHeaders) -> str:
    return headers_to_json(without_secrets(headers))


def _content_type(exchange: Exchange) -> RawHeaders:
    """The one header that the row itself is made from: whether the answer was a stream."""
    return tuple(pair for pair in exchange.response_headers if pair[0].lower() == b"content-type")
