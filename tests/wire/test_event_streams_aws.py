from __future__ import annotations

import struct
import zlib

import botocore.eventstream
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.event_streams import (
    AWS_ERROR_EVENT,
    DEFAULT_EVENT,
    MAX_EVENTS,
    is_aws_stream,
    read_aws_stream,
    read_events,
)
from tests.wire.frames import event, exception, message, seal, string_header

EVENTS = "application/vnd.amazon.eventstream"
HEADERS = (("type", b"\x00"), ("no", b"\x01"), ("byte", b"\x02\x07"), ("short", b"\x03\x00\x07"))
OTHER_TYPES = b"".join(
    bytes([len(name)]) + name.encode() + value
    for name, value in (
        *HEADERS,
        ("int", b"\x04" + bytes(4)),
        ("long", b"\x05" + bytes(8)),
        ("bytes", b"\x06\x00\x03abc"),
        ("time", b"\x08" + bytes(8)),
        ("uuid", b"\x09" + bytes(16)),
    )
)
"""A header of each type but the one that is text."""

HI = event("contentBlockDelta", b'{"delta":{"text":"Hi"}}')
STOP = event("messageStop", b'{"stopReason":"end_turn"}')

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
written = st.lists(st.tuples(texts, st.binary(max_size=50)), max_size=5)


def read_by_amazon(body: bytes) -> list[tuple[str, bytes]]:
    """The events that botocore reads of a body that ends at a message's end."""
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(body)
    return [(found.headers[":event-type"], found.payload) for found in buffer]


@given(written)
def test_events_are_read_as_amazons_own_reader_reads_them(events: list[tuple[str, bytes]]) -> None:
    body = b"".join(
        message(payload, [(":event-type", f"e{name}"), ("text", name), (":message-type", "event")])
        for name, payload in events
    )
    stream = read_aws_stream(body)
    assert stream.events == read_by_amazon(body)
    assert stream.unfinished is None


@given(st.permutations(range(3)))
def test_headers_of_any_type_stand_before_and_after_the_event_type(order: list[int]) -> None:
    pieces = (
        OTHER_TYPES,
        string_header(":event-type", "metadata"),
        string_header("a", "b") + string_header("", ""),
    )
    body = seal(b"".join(pieces[position] for position in order), b"{}")
    assert read_aws_stream(body).events == read_by_amazon(body) == [("metadata", b"{}")]


def test_what_is_cut_at_any_byte_gives_the_events_before_and_says_so() -> None:
    body = HI + STOP
    whole = read_aws_stream(body).events
    for end in range(1, len(body)):
        stream = read_aws_stream(body[:end])
        assert stream.events == whole[: (end >= len(HI))]
        assert (stream.unfinished is None) == (end == len(HI))


@pytest.mark.parametrize("position", range(len(STOP)))
def test_a_changed_byte_anywhere_in_a_message_makes_it_and_what_follows_unreadable(position: int) -> None:
    damaged = bytearray(STOP)
    damaged[position] ^= 0x10
    stream = read_aws_stream(HI + bytes(damaged) + HI)
    assert [name for name, _ in stream.events] == ["contentBlockDelta"]
    assert stream.unfinished is not None


def test_what_follows_the_last_message_is_not_read_as_an_event() -> None:
    stream = read_aws_stream(HI + b'{"stopReason":"end_turn"}')
    assert len(stream.all_events) == 2
    assert stream.unfinished == (DEFAULT_EVENT, b"")


@pytest.mark.parametrize("length", [0, 11, 15, 16 + 5, 2**31, 2**32 - 1])
@pytest.mark.parametrize("headers_length", [0, 5, 1000, 2**32 - 1])
def test_lengths_that_cannot_be_are_damage_however_right_their_checksum(
    length: int, headers_length: int
) -> None:
    lengths = struct.pack(">II", length, headers_length)
    whole = lengths + struct.pack(">I", zlib.crc32(lengths)) + bytes(5)
    stream = read_aws_stream(HI + whole + struct.pack(">I", zlib.crc32(whole)))
    assert [name for name, _ in stream.events][:1] == ["contentBlockDelta"]
    assert (length, headers_length) in {(21, 0), (21, 5)} or stream.unfinished is not None


@pytest.mark.parametrize(
    "block",
    [
        b"\x05ab",
        b"\xff" + b"a" * 20,
        b"\x01a",
        b"\x01a\x63",
        b"\x01a\x07\x00",
        b"\x01a\x07\xff\xffabc",
        b"\x01a\x06\xff\xffabc",
        b"\x01a\x05\x00",
        b"\x02\xff\xfe\x07\x00\x01\xff",
    ],
    ids=repr,
)
def test_headers_that_break_off_leave_those_before_them(block: bytes) -> None:
    body = seal(string_header(":event-type", "metadata") + block, b"{}")
    assert read_aws_stream(body).events == [("metadata", b"{}")]


def test_a_message_without_headers_is_an_event_without_a_name() -> None:
    assert read_aws_stream(message(b"{}")).events == [(DEFAULT_EVENT, b"{}")]


def failure_in(body: bytes) -> dict[str, object]:
    [(name, data)] = read_aws_stream(body).events
    assert name == AWS_ERROR_EVENT
    found: dict[str, object] = orjson.loads(data)["error"]
    return found


def test_an_exception_is_an_error_with_its_type_and_what_it_tells() -> None:
    payload = b'{"message":"The model failed","originalStatusCode":500,"originalMessage":"no memory"}'
    assert failure_in(exception("modelStreamErrorException", payload)) == {
        "type": "modelStreamErrorException",
        "message": "The model failed",
        "originalStatusCode": 500,
        "originalMessage": "no memory",
    }


def test_an_unmodelled_error_tells_its_code_and_message_in_headers() -> None:
    heads = [(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "It broke")]
    assert failure_in(message(b"", heads)) == {"type": "InternalError", "message": "It broke"}


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{", b'{"message":5}', b'{"message":""}', b'{"message":null}']
)
def test_an_exception_that_says_nothing_is_called_by_its_type(payload: bytes) -> None:
    failure = failure_in(exception("throttlingException", payload))
    assert failure == {"type": "throttlingException", "message": "throttlingException"}


def test_an_exception_whose_message_is_nested_beyond_what_can_be_written_is_an_error_all_the_same() -> None:
    deep = b'{"message":' + b'{"a":' * 900 + b"1" + b"}" * 901
    assert failure_in(exception("throttlingException", deep))["type"] == "throttlingException"


@pytest.mark.parametrize(
    "payload",
    [b"{}", b"[]", b"", b'{"bytes":5}', b'{"bytes":"a"}', b'{"bytes":"\xc3\xa4\xc3\xb6"}', b'{"bytes":null}'],
)
def test_a_chunk_that_wraps_nothing_stays_as_it_is(payload: bytes) -> None:
    heads = [(":event-type", "chunk"), (":message-type", "event")]
    assert read_aws_stream(message(payload, heads)).events == [("chunk", payload)]


def test_a_chunk_is_what_it_wraps_and_other_events_are_not_unwrapped() -> None:
    wrapped = b'{"bytes":"e30="}'
    assert read_aws_stream(event("chunk", b"{}")).events == [("chunk", b"{}")]
    assert read_aws_stream(event("metadata", wrapped)).events == [("metadata", wrapped)]


def test_more_messages_than_are_read_are_not_read() -> None:
    stream = read_aws_stream(message(b"") * (MAX_EVENTS + 1))
    assert len(stream.events) == MAX_EVENTS
    assert stream.unfinished is not None


@pytest.mark.parametrize("content_type", [EVENTS, "application/octet-stream", "", f"{EVENTS}; charset=x"])
def test_a_binary_stream_is_told_by_its_first_bytes_whatever_its_type(content_type: str) -> None:
    assert is_aws_stream(HI)
    stream = read_events(content_type, HI)
    assert stream is not None
    assert len(stream.events) == 1


@pytest.mark.parametrize("body", [b'{"message":"no"}', b' {"message":"no"}', b"\n\n", b"<html>"])
def test_text_in_place_of_a_binary_stream_is_the_text_it_is(body: bytes) -> None:
    assert read_events(EVENTS, body) is None


def test_a_binary_stream_that_is_cut_in_its_first_bytes_is_one_by_its_type() -> None:
    assert not is_aws_stream(HI[:8])
    stream = read_events(EVENTS, HI[:8])
    assert stream is not None
    assert stream.events == []
    assert stream.unfinished is not None
