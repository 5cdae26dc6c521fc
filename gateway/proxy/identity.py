"""What a request says it is: ids, spans and metadata, from the headers that are for the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from gateway.domain.exchange import Identity
from gateway.domain.ids import (
    MAX_ID_BYTES,
    is_template,
    is_valid_id,
    may_name_session,
    new_id,
    parse_traceparent,
)
from gateway.errors import BadInput
from gateway.proxy.headers import PARENT_SESSION, SESSION_FIELDS, RequestHead

MAX_METADATA_BYTES = 64 * 1024
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

_IDS = frozenset(
    {
        b"x-portkey-trace-id", b"x-portkey-span-id", b"x-portkey-parent-span-id", b"x-portkey-span-name",
        b"helicone-request-id", *(name for name, _ in _TAGS),
    }
)  # fmt: skip


def read_identity(head: RequestHead, traceparent: str | None) -> Identity:
    """Return the identity of a request; ids that it does not bring are made.

    The trace id is, in this order, `x-portkey-trace-id`, the one in the W3C `traceparent`,
    `Helicone-Session-Id`, or new. That header names the session too, whether or not it names the trace; without
    it and `_session` of the metadata, the first of `SESSION_FIELDS` that holds an id does.

    Args:
        head: the request's header fields, sorted.
        traceparent: value of that header, if there is one.

    Raises:
        BadInput: an id is empty, too long, not printable, or a template that was not filled in; a field of the
            gateway's came twice with different values; or the metadata is no JSON object.
    """
    if head.repeated is not None:
        raise BadInput("came twice with different values.", field=head.repeated.decode(), hint="Send one.")
    ids = {name: _read_id(name, raw) for name, raw in head.ours.items() if name in _IDS}
    trace_id = ids.get(b"x-portkey-trace-id")
    parent_span_id = ids.get(b"x-portkey-parent-span-id")
    if traceparent is not None and (parent := parse_traceparent(traceparent)):
        trace_id = trace_id or parent[0]
        parent_span_id = parent_span_id or parent[1]
    return Identity(
        request_id=ids.get(b"helicone-request-id") or new_id(),
        trace_id=trace_id or ids.get(b"helicone-session-id") or new_id(),
        span_id=ids.get(b"x-portkey-span-id") or ids.get(b"helicone-session-path"),
        parent_span_id=parent_span_id,
        span_name=ids.get(b"x-portkey-span-name") or ids.get(b"helicone-session-name"),
        metadata=_read_metadata(head, ids),
    )


def _read_id(name: bytes, raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    if not is_valid_id(text):
        raise BadInput(
            f"must be 1 to {MAX_ID_BYTES} bytes of printable text; got {len(raw)} bytes.", field=name.decode()
        )
    if is_template(text):
        raise BadInput(
            f"is a template that was not filled in: {text[:100]!r}.",
            field=name.decode(),
            hint="Have its value put in before the request is sent.",
        )
    return text


def _sessions_in(fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, str]]:
    """What agents say of their session. Such fields may be others' too, so what is no id is not refused."""
    for key, names in (("_session", SESSION_FIELDS), ("_parent_session", (PARENT_SESSION,))):
        texts = (fields[name].decode("utf-8", "surrogateescape") for name in names if name in fields)
        if (session := next(filter(may_name_session, texts), None)) is not None:
            yield key, session


def _read_metadata(head: RequestHead, ids: Mapping[bytes, str]) -> Mapping[str, object]:
    tags = {_text(name): _text(value) for name, value in head.properties.items()}
    if head.sessions:
        tags = dict(_sessions_in(head.sessions)) | tags
    if ids:
        tags |= {key: ids[name] for name, key in _TAGS if name in ids}
    raw = head.ours.get(b"x-portkey-metadata")
    if raw is None:
        return tags
    return {**tags, **_parse_metadata(raw)} if tags else _parse_metadata(raw)


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
