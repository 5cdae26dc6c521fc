from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.response import MAX_HEAD_BYTES, MalformedResponse, ResponseHead, ResponseParser

CHUNKED = (
    b"HTTP/1.1 200 Quite  OK\r\nX-Empty:\r\nX-Twice: a\r\nx-twice: \xff b\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
    b"5;name=value\r\nhello\r\n1\r\n \r\n00A\r\n\r\n\r\nworld!\r\n0\r\nTrailer: dropped\r\nEmpty:\r\n\r\n"
)
CHUNKED_HEAD = ResponseHead(
    200,
    b"Quite  OK",
    ((b"X-Empty", b""), (b"X-Twice", b"a"), (b"x-twice", b"\xff b"), (b"Transfer-Encoding", b"chunked")),
    content_length=None,
)


def parsed(*segments: bytes, method: str = "POST") -> ResponseParser:
    parser = ResponseParser()
    parser.expect(method)
    for segment in segments:
        parser.feed(segment)
    return parser


def body_of(parser: ResponseParser) -> bytes:
    return b"".join(parser.body)


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    edges = [0, *sorted(positions), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


def test_a_chunked_response_cut_in_two_anywhere_reads_the_same() -> None:
    for position in range(1, len(CHUNKED)):
        parser = parsed(CHUNKED[:position], CHUNKED[position:])
        assert parser.head == CHUNKED_HEAD
        assert body_of(parser) == b"hello \r\n\r\nworld!"
        assert parser.is_reusable


def test_a_response_that_comes_byte_by_byte_reads_the_same() -> None:
    parser = parsed(*[bytes([byte]) for byte in CHUNKED])
    assert parser.head == CHUNKED_HEAD
    assert body_of(parser) == b"hello \r\n\r\nworld!"
    assert parser.is_reusable


tokens = st.text("abcdefghijklmnopqrstuvwxyz-XYZ_0123456789", min_size=1, max_size=12).map(str.encode)
values = st.binary(max_size=30).map(lambda raw: bytes(b for b in raw if b > 32 and b != 127))
fields = st.lists(st.tuples(tokens.map(lambda name: b"x-" + name), values), max_size=6)
bodies = st.lists(st.binary(min_size=1, max_size=200), max_size=6)


@given(fields, values, bodies, st.booleans(), st.data())
def test_any_response_in_any_segmentation_is_read_back(
    extra: list[tuple[bytes, bytes]],
    reason: bytes,
    pieces: list[bytes],
    is_chunked: bool,
    data: st.DataObject,
) -> None:
    body = b"".join(pieces)
    framing = (b"Transfer-Encoding", b"chunked") if is_chunked else (b"content-length", b"%d" % len(body))
    head = b"HTTP/1.1 200 " + reason + b"\r\n"
    head += b"".join(name + b": " + value + b"\r\n" for name, value in (*extra, framing)) + b"\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    wire = head + (chunks if is_chunked else body)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20))

    parser = parsed(*cut(wire, cuts))

    length = None if is_chunked else len(body)
    assert parser.head == ResponseHead(200, reason, (*extra, framing), length)
    assert body_of(parser) == body
    assert parser.is_reusable


@given(st.binary(max_size=300), st.data())
def test_whatever_arrives_is_read_or_refused_alike_in_any_segmentation(
    tail: bytes, data: st.DataObject
) -> None:
    wire = data.draw(st.sampled_from([b"", CHUNKED[:60], CHUNKED[:110], CHUNKED])) + tail
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=10))
    assert outcome([wire]) == outcome(cut(wire, cuts))


def outcome(segments: list[bytes]) -> tuple[ResponseHead | None, bytes, bool, bool]:
    """What was read and whether it was refused. Not whether the connection is reusable: empty lines after a
    response are passed over in its last segment, but not taken in one of their own."""
    parser = ResponseParser()
    parser.expect("POST")
    try:
        for segment in segments:
            parser.feed(segment)
    except MalformedResponse:
        return parser.head, body_of(parser), parser.is_complete, True
    return parser.head, body_of(parser), parser.is_complete, False


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ],
)
def test_interim_responses_leave_no_trace(interim: bytes) -> None:
    parser = parsed(interim + b"HTTP/1.1 201 Made\r\nA: b\r\nContent-Length: 2\r\n\r\nok")
    assert parser.head == ResponseHead(201, b"Made", ((b"A", b"b"), (b"Content-Length", b"2")), 2)
    assert body_of(parser) == b"ok"
    assert parser.is_reusable


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("is_split", [False, True])
def test_a_response_without_body_is_complete_with_its_head(method: str, head: bytes, is_split: bool) -> None:
    segments = [bytes([byte]) for byte in head] if is_split else [head]
    parser = parsed(*segments, method=method)
    assert parser.head is not None
    assert parser.head.content_length == 0
    assert parser.is_reusable
    parser.expect("GET")
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert body_of(parser) == b"ok"


@pytest.mark.parametrize("surplus", [b"x", b"hello", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", CHUNKED),
    ],
)
def test_bytes_after_the_end_spoil_the_connection_but_not_the_response(
    method: str, message: bytes, surplus: bytes
) -> None:
    alone, followed = parsed(message, method=method), parsed(message + surplus, method=method)
    assert followed.head == alone.head
    assert body_of(followed) == body_of(alone)
    assert followed.is_complete
    assert not followed.is_reusable


@pytest.mark.parametrize(
    ("head", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nconnection: keep-alive, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_a_connection_persists_as_its_version_and_options_say(head: bytes, is_reusable: bool) -> None:
    assert parsed(head + b"Content-Length: 2\r\n\r\nok").is_reusable is is_reusable


def test_a_body_without_framing_ends_with_the_connection() -> None:
    parser = parsed(b"HTTP/1.0 200 OK\r\n\r\nall ", b"of it")
    assert parser.head is not None
    assert parser.head.content_length is None
    assert not parser.is_complete
    assert parser.finish_at_close()
    assert body_of(parser) == b"all of it"
    assert not parser.is_reusable


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nConte",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        CHUNKED[:-1],
        CHUNKED[: CHUNKED.index(b"0\r\nTrailer")],
    ],
)
def test_a_connection_that_ends_early_completes_nothing(wire: bytes) -> None:
    assert not parsed(wire).finish_at_close()


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"<html>",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 1234 OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname: a\0b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_response_that_was_asked_for_is_refused(wire: bytes) -> None:
    with pytest.raises(MalformedResponse):
        parsed(wire)
    with pytest.raises(MalformedResponse):
        parsed(*[bytes([byte]) for byte in wire])


@pytest.mark.parametrize(
    "chunks", [b"xyz\r\n", b"-1\r\n", b"3\r\nabcd\r\n", b"fffffffffffffffff\r\n", b"3\nabc\n"]
)
def test_bad_chunks_are_refused_after_what_came_before_them(chunks: bytes) -> None:
    parser = parsed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(MalformedResponse):
        parser.feed(b"2\r\nok\r\n" + chunks)
    assert parser.head is not None
    assert body_of(parser)[:2] == b"ok"
    assert not parser.is_complete


LONG = b"x-long: " + b"v" * 1000 + b"\r\n"
CASES = {
    "one field": (b"HTTP/1.1 200 OK\r\nx: ", b"v" * 100),
    "many fields": (b"HTTP/1.1 200 OK\r\n", LONG),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\n" + LONG + b"\r\n"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", LONG),
    "chunk extensions": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"name=value;" * 50),
}


@pytest.mark.parametrize(("start", "more"), CASES.values(), ids=CASES)
def test_what_goes_on_and_on_without_a_body_is_refused(start: bytes, more: bytes) -> None:
    parser = parsed(start)
    for _ in range((MAX_HEAD_BYTES - len(start)) // len(more)):
        parser.feed(more)
    with pytest.raises(MalformedResponse, match="longer than 256 KiB"):
        parser.feed(more + more)


def test_a_head_that_is_too_long_is_refused_though_it_comes_whole() -> None:
    with pytest.raises(MalformedResponse, match="longer than 256 KiB"):
        parsed(b"HTTP/1.1 200 OK\r\n" + LONG * 300 + b"Content-Length: 0\r\n\r\n")


def test_a_long_head_and_a_long_body_in_one_piece_are_taken() -> None:
    body = b"b" * (2 * MAX_HEAD_BYTES)
    parser = parsed(b"HTTP/1.1 200 OK\r\n" + LONG * 200 + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert body_of(parser) == body
    assert parser.is_complete
