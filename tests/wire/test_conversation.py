"""What both sides of recorded exchanges say, in one form for every provider."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.models.conversation import Conversation, Media, Message, OtherPart, Text, ToolCall, ToolResult
from gateway.models.exchange import Exchange
from gateway.wire import ollama, read_conversation
from gateway.wire.endpoints import FORMATS
from gateway.wire.formats import OPAQUE, WireMessage
from tests.wire.samples import ALL, Case, exchange, plain_conversation
from tests.wire.test_garbled import JSON, replace_somewhere

RECORDED = [case for case in ALL if case.expected_conversation is not None]
ASKED = [case for case in ALL if case.beside("request").exists()]

WITHOUT_TEXT = {
    "websocket",
    "messages.batches",
    "messages.batches.retrieve",
    "messages.batches.results",
    "dashscope.tasks.retrieve",
    "cohere.classify",
    "chat.completions.retrieve",
    "responses.retrieve",
    "predictions.retrieve",
}
"""Endpoints that show what other endpoints have shown, or many conversations at once."""


def read(logged: Exchange) -> Conversation:
    request, response = WireMessage.of_request(logged), WireMessage.of_response(logged)
    return read_conversation(logged.endpoint, request, response)


def chat(*messages: Any, **more: Any) -> Conversation:
    return read(exchange("chat.completions", b"", request_body=orjson.dumps({"messages": messages, **more})))


@pytest.mark.parametrize("case", RECORDED, ids=str)
def test_the_conversation_of_a_recorded_exchange_is_read(case: Case) -> None:
    assert plain_conversation(read(case.exchange())) == case.expected_conversation


@pytest.mark.parametrize("endpoint", sorted(FORMATS.keys() - WITHOUT_TEXT))
def test_each_format_has_recorded_conversations(endpoint: str) -> None:
    alike = [case for case in RECORDED if FORMATS.get(case.endpoint) is FORMATS[endpoint]]
    assert FORMATS[endpoint] in (OPAQUE, ollama.EMBEDDINGS) or len(alike) >= 2


@pytest.mark.parametrize("case", [case for case in RECORDED if case.beside("whole").exists()], ids=str)
def test_a_stream_says_what_the_same_answer_says_unstreamed(case: Case) -> None:
    whole = case.exchange(case.beside("whole").read_bytes())
    headers = tuple(header for header in whole.response_headers if header[0] != b"Content-Type")
    assert read(replace(whole, response_headers=headers)) == read(case.exchange())


@pytest.mark.parametrize("case", RECORDED, ids=str)
def test_no_content_of_media_is_copied(case: Case) -> None:
    logged = case.exchange()
    marked = logged.request_body.replace(b"iVBORw0KGgo=", b"iVBORw0KGgo=" * 1000)
    assert len(repr(read(replace(logged, request_body=marked)))) < len(repr(read(logged))) + 100


def test_an_unknown_part_is_kept_with_its_type() -> None:
    said = chat(
        {
            "role": "user",
            "content": [{"type": "hologram"}, {"gram": 1}, 5, None, {"type": "text", "text": "a"}],
        }
    )
    kinds = ("hologram", "gram", "number", "null")
    assert said.input == (Message("user", (*map(OtherPart, kinds), Text("a"))),)


def test_tokens_in_place_of_a_prompt_are_one_part() -> None:
    body = orjson.dumps({"input": list(range(10_000))})
    [asked] = read(exchange("embeddings", b"", request_body=body)).input
    assert asked.parts == (OtherPart("number"),)


def test_arguments_stay_as_they_were_written() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"n": 1.10, "cut'}}
    [said] = chat({"role": "assistant", "tool_calls": [call]}).input
    assert said.parts == (ToolCall("c", "f", '{"n": 1.10, "cut'),)


def test_what_a_tool_returns_is_text_or_json() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "odd", "n": 1}, "a"]}
    [said] = chat({"role": "user", "content": [result]}).input
    assert said.parts == (ToolResult("t", (Text('{"type":"odd","n":1}'), Text("a"))),)


@pytest.mark.parametrize(
    ("url", "image"),
    [
        ("data:image/png;base64,AAAA", Media("image", "image/png", size_bytes=3)),
        ("data:image/png;base64,AA==", Media("image", "image/png", size_bytes=1)),
        ("https://example.com/a.png", Media("image", uri="https://example.com/a.png")),
        ("gs://bucket/a.png", Media("image", uri="gs://bucket/a.png")),
        ("AAAA", Media("image", size_bytes=3)),
        ("https://example.com/" + "a" * 5000, Media("image", size_bytes=3765)),
        (None, Media("image")),
    ],
)
def test_an_image_has_a_url_or_a_size(url: object, image: Media) -> None:
    [said] = chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}).input
    assert said.parts == (image,)


def test_a_form_and_a_bare_transcript_are_read() -> None:
    form = b'--xx\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n%b\r\n--xx--\r\n' % (b"cat" * 400)
    logged = exchange("audio.transcriptions", b"Meow.\n", content_type="text/plain", request_body=form)
    said = read(replace(logged, request_headers=((b"Content-Type", b"multipart/form-data; boundary=xx"),)))
    assert (said.question, said.answer) == ("cat" * 400, "Meow.\n")


def test_an_answer_that_is_an_error_says_nothing() -> None:
    for body in (b'{"message": "busy"}', b'{"error": {"message": "busy"}}', b'{"detail": "busy"}'):
        for endpoint in FORMATS:
            assert read(exchange(endpoint, body)).output == ()


@st.composite
def distorted_requests(draw: st.DrawFn) -> tuple[Case, bytes]:
    """A recorded request with unexpected values, or with bytes lost."""
    case = draw(st.sampled_from(ASKED))
    value = orjson.loads(case.beside("request").read_bytes())
    for _ in range(draw(st.integers(1, 4))):
        value = replace_somewhere(value, draw(JSON), draw)
    body = orjson.dumps(value)
    return case, body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body


@settings(max_examples=500)
@given(distorted_requests())
def test_odd_requests_give_what_can_be_read(distorted: tuple[Case, bytes]) -> None:
    case, body = distorted
    logged = replace(case.exchange(), request_body=body)
    assert read(logged).output == read(case.exchange()).output
