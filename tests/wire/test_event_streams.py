from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.event_streams import read_sse

FRAGMENTS = [
    b"data",
    b"data:",
    b"data: ",
    b"data:  two",
    b"event:",
    b"event: ping",
    b"id: 1",
    b"retry: 9",
    b"unknown: x",
    b":",
    b": comment",
    b" ",
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\r",
    b"\r\n",
    b"\r\n\r\n",
    b"{}",
    b"\xef\xbb\xbf",
    b"\xff",
    "é".encode(),
    b"\x00",
]
BODIES = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join) | st.binary(max_size=60)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)


def split_lines(body: bytes) -> tuple[list[bytes], bytes]:
    """Lines that have an end, and what follows the last of them; byte by byte."""
    lines, line, position = [], b"", 0
    while position < len(body):
        byte = body[position : position + 1]
        position += 1
        if byte not in (b"\r", b"\n"):
            line += byte
            continue
        if byte == b"\r" and body[position : position + 1] == b"\n":
            position += 1
        lines.append(line)
        line = b""
    return lines, line


def read_naively(body: bytes) -> list[tuple[str, bytes]]:
    """The standard's algorithm, step by step: what a browser would dispatch."""
    lines, _ = split_lines(body[3:] if body[:3] == b"\xef\xbb\xbf" else body)
    dispatched: list[tuple[str, bytes]] = []
    kind, data = b"", b""
    for line in lines:
        if line == b"":
            if data != b"":
                dispatched.append((kind.decode(errors="replace") or "message", data[:-1]))
            kind, data = b"", b""
        elif line[:1] != b":":
            field, value = line, b""
            if b":" in line:
                field, value = line[: line.index(b":")], line[line.index(b":") + 1 :]
                value = value[1:] if value[:1] == b" " else value
            if field == b"event":
                kind = value
            elif field == b"data":
                data += value + b"\n"
    return dispatched


@given(BODIES)
def test_complete_events_are_those_that_the_standards_algorithm_dispatches(body: bytes) -> None:
    assert read_sse(body).events == read_naively(body)


@given(BODIES)
def test_an_unfinished_event_is_what_a_blank_line_would_have_dispatched(body: bytes) -> None:
    assert read_sse(body).all_events == read_naively(body + b"\n\n")


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), max_size=5), st.data())
def test_what_was_written_is_read_back_whichever_line_ending_each_line_has(
    sent: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    def line(text: str) -> bytes:
        # CR alone before an empty line that ends in LF would be one CRLF.
        return text.encode() + data.draw(st.sampled_from([b"\n", b"\r\n"]))

    body = b"".join(
        line(f"event: {kind}") + b"".join(line(f"data: {text}") for text in texts) + line("")
        for kind, texts in sent
    )
    assert read_sse(body).all_events == [
        (kind or "message", "\n".join(texts).encode()) for kind, texts in sent
    ]


def test_carriage_returns_alone_end_lines() -> None:
    assert read_sse(b"event: a\rdata: 1\r\rdata: 2\r\r").all_events == [("a", b"1"), ("message", b"2")]


def test_a_stream_that_ends_inside_an_event_says_so_and_shows_what_came() -> None:
    stream = read_sse(b'data: 1\n\nevent: a\ndata: {"cut')
    assert stream.events == [("message", b"1")]
    assert stream.unfinished == ("a", b'{"cut')


@pytest.mark.parametrize("end", [b"", b"\n", b": bye\n", b"event: a\n", b"id: 3"])
def test_a_rest_without_data_is_no_unfinished_event(end: bytes) -> None:
    assert read_sse(b"data: 1\n\n" + end).unfinished is None


def test_several_data_lines_are_one_text_of_lines() -> None:
    assert read_sse(b"data: {\ndata:  1}\ndata\n\n").all_events == [("message", b"{\n 1}\n")]
