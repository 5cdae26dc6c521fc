"""What must hold whatever the bytes are. Each target takes an input and raises if something does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import orjson

from gateway.errors import BadInput
from gateway.models.addresses import OWN_PREFIXES
from gateway.routes import is_own_path
from gateway.upstream.request import OutgoingRequest, encode_head
from gateway.upstream.response import MalformedResponse, ResponseHead, ResponseParser
from gateway.wire import read_facts, reassemble
from gateway.wire.endpoints import FORMATS
from gateway.wire.event_streams import read_sse
from tests.wire.samples import exchange
from tests.wire.test_event_streams import read_naively
from tests.wire.test_garbled import check_types

Target = Callable[[bytes], None]

_ENDPOINTS = (*FORMATS, "other")
_CONTENT_TYPES = ("text/event-stream", "application/json", "application/vnd.amazon.eventstream", "")
_METHODS = ("POST", "HEAD")


def events(data: bytes) -> None:
    """A stream's events are those that the standard's algorithm dispatches."""
    assert read_sse(data).events == read_naively(data)


def answers(data: bytes) -> None:
    """Any body under any endpoint and content type is read without an error, to values of the right types."""
    choice, body = data[:1], data[1:]
    number = choice[0] if choice else 0
    endpoint = _ENDPOINTS[number % len(_ENDPOINTS)]
    content_type = _CONTENT_TYPES[number // len(_ENDPOINTS) % len(_CONTENT_TYPES)]
    check_types(read_facts(exchange(endpoint, body, content_type=content_type, request_body=body)))
    orjson.dumps(reassemble(endpoint, content_type, body))


def responses(data: bytes) -> None:
    """A response reads the same in one piece and in two, wherever it is cut."""
    choice, response = data[:2], data[2:]
    number = int.from_bytes(choice, "big")
    method = _METHODS[number % len(_METHODS)]
    cut = number % (len(response) + 1)
    assert _read([response], method) == _read([response[:cut], response[cut:]], method)


def request_heads(data: bytes) -> None:
    """A head that we write is refused, or has the parts that it was given, each in its place, and nothing else."""
    method, _, rest = data.partition(b"|")
    target, *lines = rest.split(b"|")
    fields = tuple((name, value) for name, _, value in (line.partition(b":") for line in lines))
    decoded = method.decode("latin-1"), target.decode("utf-8", "surrogateescape")
    try:
        head = encode_head(OutgoingRequest(*decoded, fields, b""))
    except BadInput:
        return
    first, *others = re.split(rb"[\r\n]+", head.removesuffix(b"\r\n\r\n"))
    assert first.split(b" ") == [method, target, b"HTTP/1.1"]
    assert tuple(line.split(b": ", 1) for line in others) == tuple(map(list, fields))


def own_paths(data: bytes) -> None:
    """A path of ours is known as ours however many of its characters are percent-encoded, once or twice."""
    prefix = OWN_PREFIXES[data[0] % len(OWN_PREFIXES)] if data else OWN_PREFIXES[0]
    spelled = "/" + "".join(
        _spelled(character, data[position + 1] if position + 1 < len(data) else 0)
        for position, character in enumerate(prefix[1:])
    )
    assert is_own_path(spelled), spelled


TARGETS: Mapping[str, Target] = {
    "events": events,
    "answers": answers,
    "responses": responses,
    "request-heads": request_heads,
    "own-paths": own_paths,
}


def seeds_of(name: str) -> list[bytes]:
    """Return inputs that a target does well to begin with."""
    return [seed.encode("latin-1") for seed in _SEEDS[name]]


_SEEDS: Mapping[str, tuple[str, ...]] = {
    "events": ("data: {}\n\n", "event: a\r\ndata: b\r\ndata: c\r\n\r\n", "\xef\xbb\xbfdata:x\r\r:\n\n"),
    "answers": (
        '\x00{"id":"a","model":"m","choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}',
        '\x00data: {"id":"a","choices":[{"delta":{"content":"x"},"finish_reason":null}]}\n\ndata: [DONE]\n\n',
        '\x04event: message_start\ndata: {"message":{"id":"msg","usage":{"input_tokens":3}}}\n\n',
    ),
    "responses": (
        "\0\x04HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "\0\x08HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "\0\x01HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 \r\n\r\nrest",
    ),
    "request-heads": ("POST|/v1/chat|Host:a|X-Y: b", "GET|/?a=%20|A:\tb c\t|B:"),
    "own-paths": ("\x00\x01\x02\x01\x00", "\x05\x02\x02\x02"),
}


def _read(pieces: list[bytes], method: str) -> tuple[ResponseHead | None, bytes, bool, bool]:
    """Head and body as far as they could be read, whether the response is complete, and whether it is none."""
    parser = ResponseParser()
    parser.expect(method)
    is_malformed = False
    try:
        for piece in pieces:
            parser.feed(piece)
    except MalformedResponse:
        is_malformed = True
    return parser.head, b"".join(parser.body), parser.is_complete, is_malformed


def _spelled(character: str, how: int) -> str:
    once = f"%{ord(character):02{'xX'[how // 4 % 2]}}"
    return (character, once, once.replace("%", "%25"), character.upper())[how % 4]
