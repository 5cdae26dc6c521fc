"""Redaction of texts in payloads, and of echoed credentials in errors."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import unquote_to_bytes

import orjson

from gateway.models.exchange import Exchange, RawHeaders, first_value
from gateway.models.principal import is_secret_header, is_secret_parameter
from gateway.wire import event_streams
from gateway.wire.content_encoding import decode
from gateway.wire.event_streams import read_events
from gateway.wire.json_fields import parse_json

# Strings under these keys describe the call and not its content.
KEPT_KEYS = frozenset(
    {
        "id", "object", "type", "role", "model", "finish_reason", "stop_reason", "status", "event",
        "service_tier", "system_fingerprint", "encoding_format", "tool_choice", "response_id", "item_id", "code",
        "completionReason", "invokedModelId", "stopReason", "ttl",
    }
)  # fmt: skip


def redact(exchange: Exchange) -> Exchange:
    """Replace every text in the bodies by its length. Numbers, flags, keys and strings under `KEPT_KEYS` stay;
    a stream of JSON becomes server-sent events; other bodies are left out."""
    return replace(
        exchange,
        request_headers=_without_encoding(exchange.request_headers),
        request_body=_redact_body(exchange.request_body, exchange.request_headers),
        response_headers=_without_encoding(exchange.response_headers),
        response_body=_redact_body(exchange.response_body, exchange.response_headers),
    )


def _without_encoding(headers: RawHeaders) -> RawHeaders:
    return tuple(header for header in headers if header[0].lower() != b"content-encoding")


def _redact_body(encoded: bytes, headers: RawHeaders) -> bytes:
    body = decode(encoded, headers).data
    redacted = _redact_json(body)
    if redacted is not None:
        return redacted
    content_type = first_value(headers, b"content-type").decode("latin-1")
    stream = read_events(content_type, body) or event_streams.read_sse(body)
    return b"".join(_redact_event(event, data) for event, data in stream.all_events)


def _redact_event(event: str, data: bytes) -> bytes:
    name = b"" if event == event_streams.DEFAULT_EVENT else b"event: " + event.encode() + b"\n"
    redacted = data if data == b"[DONE]" else _redact_json(data) or b"[redacted %d]" % len(data)
    return name + b"data: " + redacted + b"\n\n"


def _redact_json(text: bytes) -> bytes | None:
    # None for what is no JSON, too large or too deep.
    try:
        return orjson.dumps(_redact_value(parse_json(text)))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return None


def _redact_value(value: object) -> object:
    if isinstance(value, dict):
        return {key: item if _is_kept_key(key, item) else _redact_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact_value(item) for item in value]
    return f"[redacted {len(value)}]" if isinstance(value, str) else value


def _is_kept_key(key: str, value: object) -> bool:
    return key in KEPT_KEYS and isinstance(value, str)


# Shorter ones match ordinary words.
_MIN_SECRET_BYTES = 8

_MAX_ENCODED_BYTES = 64 * 1024
# Larger errors are not unpacked, since callers wait.
_MAX_DECODED_BYTES = 1024 * 1024


def request_secrets(path: str, headers: RawHeaders) -> Iterator[bytes]:
    """Yield the credentials in a request's query, headers, cookies and referer."""
    yield from _secrets_in_query(path.encode("utf-8", "surrogateescape"))
    for name, value in headers:
        if name.lower() == b"cookie":
            yield from (pair.partition(b"=")[2] for pair in value.split(b";"))
        elif is_secret_header(name):
            yield value
        elif name.lower() == b"referer":
            yield from _secrets_in_query(value)


def mask_echoed_credentials(
    sent: Iterable[bytes], headers: RawHeaders, body: bytes
) -> tuple[RawHeaders, bytes]:
    """Return an error with sent secrets as asterisks."""
    found = {bare for value in sent if len(bare := value.rpartition(b" ")[2]) >= _MIN_SECRET_BYTES}
    if not found:
        return headers, body
    # The longest first, since one may hold another.
    secrets = sorted(found, key=len, reverse=True)
    headers = tuple((name, _mask(value, secrets)) for name, value in headers)
    if (masked := _mask(body, secrets)) != body or len(body) > _MAX_ENCODED_BYTES:
        return headers, masked
    unpacked = decode(body, headers, _MAX_DECODED_BYTES).data
    masked = _mask(unpacked, secrets)
    if masked == unpacked:
        return headers, body
    return _without_encoding(headers), masked


def _secrets_in_query(url: bytes) -> Iterator[bytes]:
    for parameter in url.partition(b"?")[2].split(b"&"):
        name, _, value = parameter.partition(b"=")
        if is_secret_parameter(name.decode("latin-1")):
            # An error that repeats the URL has it encoded, one that repeats the key decoded.
            yield value
            yield unquote_to_bytes(value)


def _mask(text: bytes, secrets: list[bytes]) -> bytes:
    for secret in secrets:
        text = text.replace(secret, b"*" * len(secret))
    return text
