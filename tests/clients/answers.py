"""Answers of providers as scripts: whole, streamed, held open after their last event, or cut."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Sequence

from tests.scripted_upstream import CLOSE, READ, answer, chunk, head, wait
from tests.upstream_server import Step

JSON = b"Content-Type: application/json"
SSE = b"Content-Type: text/event-stream"
NDJSON = b"Content-Type: application/x-ndjson"
EVENTS = b"Content-Type: application/vnd.amazon.eventstream"

DONE = b"data: [DONE]\n\n"


def compact(value: object) -> bytes:
    """A value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def data(*events: object) -> list[bytes]:
    """Events of an SSE stream that have no names."""
    return [b"data: " + compact(event) + b"\n\n" for event in events]


def named(*events: dict[str, object], key: str = "type") -> list[bytes]:
    """Events of an SSE stream, each called what it says under `key`."""
    return [f"event: {event[key]}\n".encode() + data(event)[0] for event in events]


def lines(*objects: object) -> list[bytes]:
    """Objects of an NDJSON stream."""
    return [compact(one) + b"\n" for one in objects]


def frame(payload: object, **headers: str) -> bytes:
    """One message of an AWS event stream: lengths and their CRC, headers, payload, CRC of all."""
    named_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    block = b"".join(
        bytes([len(name) + 1])
        + f":{name}".encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in named_headers.items()
    )
    content = compact(payload)
    prelude = struct.pack(">II", 16 + len(block) + len(content), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + content
    return message + struct.pack(">I", zlib.crc32(message))


def aws_event(kind: str, payload: object) -> bytes:
    """An event of an AWS stream."""
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def aws_exception(kind: str, message: str) -> bytes:
    """An exception inside an AWS stream."""
    return frame(
        {"message": message}, exception_type=kind, content_type="application/json", message_type="exception"
    )


def aws_chunk(payload: object) -> bytes:
    """An event of InvokeModelWithResponseStream, which wraps a model's own."""
    return aws_event("chunk", {"bytes": base64.b64encode(compact(payload)).decode()})


def whole(body: object, *fields: bytes, status: bytes = b"200 OK") -> list[Step]:
    """An answer in JSON."""
    return answer(compact(body), JSON, *fields, status=status)


def streamed(
    events: Iterable[bytes], *fields: bytes, content_type: bytes = SSE, hold: str | None = None
) -> list[Step]:
    """A stream that ends; `hold` is a gate at which it waits after its last event."""
    waiting = [wait(hold)] if hold else []
    return [*_begun(events, content_type, fields), *waiting, chunk(b"")]


def cut(events: Sequence[bytes], *fields: bytes, content_type: bytes = SSE) -> list[Step]:
    """A stream whose connection is lost where its next event would begin."""
    return [*_begun(events, content_type, fields), CLOSE]


def _begun(events: Iterable[bytes], content_type: bytes, fields: Sequence[bytes]) -> list[Step]:
    first = head(b"200 OK", content_type, b"Transfer-Encoding: chunked", *fields)
    return [READ, first, *(chunk(event) for event in events)]
