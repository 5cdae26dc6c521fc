"""What a request says it is: ids, spans and metadata, from the headers that are for the gateway."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.domain.exchange import Identity
from gateway.domain.ids import MAX_ID_BYTES, is_valid_id, new_id, parse_traceparent
from gateway.errors import BadInput
from gateway.proxy.headers import RequestHead

MAX_METADATA_BYTES = 64 * 1024
_NO_METADATA: Mapping[str, object] = {}

_TAGS = (
    (b"helicone-user-id", "_user"),
    (b"helicone-session-id", "_session"),
    (b"helicone-prompt-id", "_prompt"),
    (b"helicone-model-override", "_model"),
    (b"helicone-prompt-id", "Helicone-Prompt-Id"),
    (b"helicone-session-id", "Helicone-Session-Id"),
    (b"helicone-session-path", "Helicone-Session-Path"),
    (b"helicone-session-name", "Helicone-Session-Name"),
)
"""Fields that become metadata too, and under which keys: those with a meaning here, and those under which
Helicone's clients look for them among the properties."""


def read_identity(head: RequestHead, traceparent: str | None) -> Identity:
    """Return the identity of a request; ids that it does not bring are made.

    The trace id is, in this order, `x-portkey-trace-id`, the one in the W3C `traceparent`,
    `Helicone-Session-Id`, or new. That header names the session too, whether or not it names the trace.

    Args:
        head: the request's header fields, sorted.
        traceparent: value of that header, if there is one.

    Raises:
        BadInput: an id is empty, too long or not printable, or the metadata is no JSON object.
    """
    ours = head.ours
    trace_id = _read_id(ours, b"x-portkey-trace-id")
    parent_span_id = _read_id(ours, b"x-portkey-parent-span-id")
    if traceparent is not None and (parent := parse_traceparent(traceparent)):
        trace_id = trace_id or parent[0]
        parent_span_id = parent_span_id or parent[1]
    return Identity(
        request_id=_read_id(ours, b"helicone-request-id") or new_id(),
        trace_id=trace_id or _read_id(ours, b"helicone-session-id") or new_id(),
        span_id=_read_id(ours, b"x-portkey-span-id") or _read_id(ours, b"helicone-session-path"),
        parent_span_id=parent_span_id,
        span_name=_read_id(ours, b"x-portkey-span-name") or _read_id(ours, b"helicone-session-name"),
        metadata=_read_metadata(head),
    )


def _read_id(ours: Mapping[bytes, bytes], name: bytes) -> str | None:
    raw = ours.get(name)
    if raw is None:
        return None
    text = raw.decode("utf-8", "surrogateescape")
    if not is_valid_id(text):
        raise BadInput(
            f"must be 1 to {MAX_ID_BYTES} bytes of printable text; got {len(raw)} bytes.", field=name.decode()
        )
    return text


def _read_metadata(head: RequestHead) -> Mapping[str, object]:
    ours = head.ours
    if not ours and not head.properties:
        return _NO_METADATA
    tags = {_text(name): _text(value) for name, value in head.properties.items()}
    for name, key in _TAGS:
        if (value := _read_id(ours, name)) is not None:
            tags[key] = value
    raw = ours.get(b"x-portkey-metadata")
    return tags if raw is None else {**tags, **_parse_metadata(raw)}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _parse_metadata(raw: bytes) -> Mapping[str, object]:
    if len(raw) > MAX_METADATA_BYTES:
        raise BadInput(f"is longer than {MAX_METADATA_BYTES} bytes.", field="x-portkey-metadata")
    try:
        metadata = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"is not valid JSON: {error.msg}.", field="x-portkey-metadata") from None
    if not isinstance(metadata, dict):
        raise BadInput('must be a JSON object such as {"_user": "u1"}.', field="x-portkey-metadata")
    return metadata
