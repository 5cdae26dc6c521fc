"""An answer is held until it says something, for every format and wherever its bytes are cut."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest

from gateway.models.exchange import RawHeaders
from gateway.wire.commit_point import (
    MAX_HELD_BYTES,
    AnswerBeginning,
    Beginning,
    may_be_silent,
    read_beginning,
)
from tests.wire.samples import ALL, STREAMS, Case

SSE = ((b"content-type", b"text/event-stream"),)
JSON = ((b"content-type", b"application/json"),)
_ENDS = {".sse": rb"\r?\n\r?\n|\r\r", ".ndjson": rb"\n", ".array": rb"\n"}


def event_ends(case: Case) -> Iterator[int]:
    """The positions behind each whole event."""
    body, at = case.body, 0
    if not case.is_binary:
        yield from (found.end() for found in re.finditer(_ENDS[case.path.suffix], body))
    while case.is_binary and at < len(body):
        at += int.from_bytes(body[at : at + 4], "big")
        yield min(at, len(body))
    yield len(body)


def first_not_silent(case: Case) -> tuple[bytes, AnswerBeginning]:
    headers = ((b"content-type", case.content_type.encode()),)
    for end in event_ends(case):
        is_whole = end == len(case.body)
        begun = read_beginning(case.endpoint, "/v1/x", headers, case.body[:end], is_whole=is_whole)
        if begun.state is not Beginning.SILENT:
            return case.body[:end], begun
    raise AssertionError("a whole answer is never silent")


# Stated errors of Gemini's arrays are followed by more of the array, so they come with the end.
FAILED_AT_ONCE = {
    "bedrock.converse/failed_at_once.frames": "The model failed",
    "bedrock.invoke/failed_at_once.frames": "Model has timed out",
    "chat.completions/error_before_the_finish.sse": "The engine died",
    "cohere.chat/error_before_the_end.ndjson": "boom",
    "dashscope.generation/error_event.sse": "Role must be user or assistant",
    "gemini.interactions/error_mid_stream.sse": "The model is overloaded.",
    "messages/error_then_begun.sse": "Overloaded",
    "messages/overloaded_at_once.sse": "Overloaded",
    "responses/error_before_the_end.sse": "boom",
    "realtime/failed.sse": "You exceeded your current quota.",
    "responses/failed.sse": "The model failed to generate a response.",
}


# Of those whose error has a class of its own.
STATUSES = {
    "gemini.interactions/error_mid_stream.sse": 529,
    "messages/error_then_begun.sse": 529,
    "messages/overloaded_at_once.sse": 529,
    "realtime/failed.sse": 429,
}


# What was cut behind the reason why the model stopped has its end.
CUT = {str(case) for case in ALL if "cut" in case.path.stem} - {"chat.completions/cut_before_usage.sse"}


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_an_error_before_anything_is_said_is_a_failure(case: Case) -> None:
    _, begun = first_not_silent(case)
    if str(case) in FAILED_AT_ONCE:
        assert (begun.state, begun.message) == (Beginning.FAILED, FAILED_AT_ONCE[str(case)])
        assert begun.status == STATUSES.get(str(case), 500)
    elif begun.state is Beginning.BROKEN:
        assert str(case) in CUT
    elif not case.path.name.startswith("error_"):
        assert begun.state is Beginning.MEANINGFUL


def test_the_first_text_tool_call_or_thought_is_what_counts() -> None:
    marks = {
        "messages/text.sse": b'"text":"Hello"',
        "messages/thinking.sse": b'"thinking":"2+2 "',
        "messages/cut_in_tool_input.sse": b'"type":"tool_use"',
        "responses/text.sse": b'"delta":"Hi "',
        "chat.completions/text.sse": b'"content":"',
        "chat.completions/reasoning_details.sse": b'"text":"Let me "',
        "cohere.chat/text.sse": b"content-delta",
        "gemini.generate/text.sse": b"One, ",
    }
    seen = {str(case): first_not_silent(case)[0] for case in STREAMS if str(case) in marks}
    assert seen.keys() == marks.keys()
    for name, held in seen.items():
        last_event = [event for event in held.split(b"\n\n") if event.strip()][-1]
        assert marks[name] in last_event


def test_a_list_of_gemini_begins_with_its_first_object() -> None:
    body = b'[{"candidates":[{"content":{"parts":[{"text":"One"}],"role":"model"}}]}\n,'
    begun = read_beginning("gemini.generate", "/v1beta/models/m:x", JSON, body, is_whole=False)
    assert begun.state is Beginning.MEANINGFUL
    assert read_beginning("gemini.generate", "/x", JSON, b"[", is_whole=False).state is Beginning.SILENT


@pytest.mark.parametrize("is_packed", [False, True])
def test_pings_and_comments_say_nothing_packed_or_not(is_packed: bool) -> None:
    held = b': OPENROUTER PROCESSING\n\nevent: ping\ndata: {"type": "ping"}\n\n'
    headers = (*SSE, (b"content-encoding", b"gzip")) if is_packed else SSE
    for endpoint in ("chat.completions", "messages", "responses"):
        body = gzip.compress(held) if is_packed else held
        assert read_beginning(endpoint, "/v1/x", headers, body, is_whole=False).state is Beginning.SILENT


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_whole_answer_without_its_end_is_none(case: Case) -> None:
    headers = ((b"content-type", case.content_type.encode()),)
    if not may_be_silent(case.endpoint, 200, headers):
        return
    begun = read_beginning(case.endpoint, "/v1/x", headers, case.body, is_whole=True)
    assert (begun.state is Beginning.BROKEN) == (str(case) in CUT)


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        (JSON, b"", "the answer is empty"),
        (SSE, b"\n", "the answer is empty"),
        (JSON, b"<html>", "the answer is no JSON"),
        (JSON, b'{"choices":[{"message":', "the answer is no JSON"),
        (SSE, b": ping\n\n", "the stream ended early"),
        (SSE, b"data: ping\n\n", "the stream ended early"),
        (SSE, b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', "the stream ended early"),
    ],
)
def test_what_is_no_answer_is_told_from_one_that_says_little(
    headers: RawHeaders, body: bytes, fault: str
) -> None:
    begun = read_beginning("chat.completions", "/v1/chat/completions", headers, body, is_whole=True)
    assert (begun.state, begun.message, begun.status) == (Beginning.BROKEN, fault, 502)


def test_a_malformed_event_breaks_a_stream_before_its_end() -> None:
    malformed = b'data: {"choices":[{"delta":{"content":"Hi"\n\n'
    begun = read_beginning("chat.completions", "/v1/x", SSE, malformed, is_whole=False)
    assert (begun.state, begun.message) == (Beginning.BROKEN, "an event of the stream is no JSON")
    # Of one that has not arrived whole nothing is known.
    assert read_beginning("chat.completions", "/v1/x", SSE, malformed[:-2], is_whole=False).state is (
        Beginning.SILENT
    )


def test_one_object_is_understood_at_its_end() -> None:
    body = b'{"error":{"message":"Overloaded"}}'
    assert (
        read_beginning("messages", "/v1/messages", JSON, body[:9], is_whole=False).state is Beginning.SILENT
    )
    whole = read_beginning("messages", "/v1/messages", JSON, body, is_whole=True)
    assert (whole.state, whole.message) == (Beginning.FAILED, "Overloaded")


def test_what_is_long_or_not_understood_is_passed_on() -> None:
    assert read_beginning("chat.completions", "/x", SSE, b":" * MAX_HELD_BYTES, is_whole=False).state is (
        Beginning.MEANINGFUL
    )
    assert read_beginning("files", "/v1/files", SSE, b"x", is_whole=False).state is Beginning.MEANINGFUL
    assert may_be_silent("chat.completions", 200, SSE)
    assert not may_be_silent("chat.completions", 500, JSON)
    assert not may_be_silent("audio.speech", 200, ((b"content-type", b"audio/mpeg"),))
