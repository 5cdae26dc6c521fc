"""Asking for token counts in a stream, and taking them out of it again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.stream_usage import MAX_HELD_BYTES, UsageChunkFilter, add_usage_option, may_hold_usage

ASKED = b'"stream_options":{"include_usage":true}'
USAGE = b'data: {"id":"c","choices": [ ],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
KEPT = [
    b'data: {"id":"c","choices":[],"prompt_filter_results":[{}],"usage":null}',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\"choices\\":[] \\"usage\\":{}"}}],"usage":null}',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}',
    b': comment "choices":[]',
    b'data: {"choices":[],"usage":{"prompt_tokens":1}} or nearly',
    b'event: error\ndata: {"error":{"message":"no"}}',
    b"data: [DONE]",
]


def through(pieces: list[bytes]) -> bytes:
    found = UsageChunkFilter()
    return b"".join([*map(found.feed, pieces), found.flush()])


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (b'{"model":"m","stream":true}', b"{" + ASKED + b',"model":"m","stream":true}'),
        (b'\n { "stream" : true , "n": 1e2 }', b"\n {" + ASKED + b', "stream" : true , "n": 1e2 }'),
        (b'{"stream":true,"stream_options":null,"n":1.0}', b'{"stream":true,' + ASKED + b',"n":1.0}'),
        (
            b'{"stream_options" : {"include_usage":false} ,"stream":true}',
            b'{"stream_options" : {"include_usage":true} ,"stream":true}',
        ),
        (
            b'{"stream":true, "stream_options": {"x":false} }',
            b'{"stream":true, "stream_options": {"x":false,"include_usage":true} }',
        ),
        (
            '{"s":"ü}","stream":true,"stream_options":{},"big":123456789012345678901}'.encode(),
            '{"s":"ü}","stream":true,"stream_options":{"include_usage":true},"big":123456789012345678901}'.encode(),
        ),
        (
            b'{"stream_options":null,"stream":true,"stream_options":{}}',
            b'{"stream_options":null,"stream":true,"stream_options":{"include_usage":true}}',
        ),
    ],
)
def test_usage_is_asked_for_and_nothing_else_is_changed(asked: bytes, sent: bytes) -> None:
    assert add_usage_option(asked) == sent
    assert json.loads(sent)["stream_options"]["include_usage"] is True


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b'["stream"]',
        b'{"model":"m"}',
        b'{"stream":false}',
        b'{"stream":"true"}',
        b'{"messages":[{"stream":true}]}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":"yes"}',
        b'{"stream":true',
        b"\xff" + b'{"stream":true}',
    ],
)
def test_what_asks_for_no_stream_or_is_not_understood_stays_as_it_is(body: bytes) -> None:
    assert add_usage_option(body) is None


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@given(data=st.data())
def test_only_the_chunk_with_the_usage_is_taken_out_wherever_the_stream_is_cut(
    ending: bytes, data: st.DataObject
) -> None:
    kept = [event.replace(b"\n", ending[: len(ending) // 2]) for event in KEPT]
    at = data.draw(st.integers(0, len(kept)))
    body = b"".join(event + ending for event in [*kept[:at], USAGE, *kept[at:]])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert through([piece for piece in pieces if piece]) == b"".join(event + ending for event in kept)


def test_each_event_goes_on_when_it_is_whole() -> None:
    found = UsageChunkFilter()
    for event in KEPT:
        assert found.feed(event + b"\n\n") == event + b"\n\n"
    assert found.feed(USAGE + b"\n") == b""
    assert found.feed(b"\n") == b""
    assert found.feed(b"data: [DO") == b""
    assert found.feed(b"NE]\n\nda") == b"data: [DONE]\n\n"
    assert found.flush() == b"da"


def test_a_stream_that_ends_within_the_chunk_with_the_usage_ends_before_it() -> None:
    assert through([b"data: 1\n\n" + USAGE]) == b"data: 1\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_of_a_long_event_little_is_held(size: int) -> None:
    long = b"data: " + b"x" * (2 * MAX_HELD_BYTES)
    end = b"\n\n" + USAGE + b"\n\ndata: [DONE]\n\n"
    found = UsageChunkFilter()
    begun = found.feed(long)
    assert len(long) - len(begun) < 10
    passed = [found.feed(end[at : at + size]) for at in range(0, len(end), size)]
    assert begun + b"".join(passed) + found.flush() == long + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    ("fields", "is_readable"),
    [
        (((b"Content-Type", b"text/event-stream; charset=utf-8"),), True),
        (((b"content-type", b"text/event-stream"), (b"Content-Encoding", b"gzip")), False),
        (((b"content-type", b"application/json"),), False),
        ((), False),
    ],
)
def test_only_a_stream_that_is_not_packed_is_read(
    fields: tuple[tuple[bytes, bytes], ...], is_readable: bool
) -> None:
    assert may_hold_usage(fields) is is_readable
