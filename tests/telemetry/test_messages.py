"""Messages of several formats in OpenTelemetry's shape, and what is left out of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.telemetry.attributes import MAX_PART_CHARACTERS, message_attributes

Message = dict[str, Any]

WEATHER = {"city": "Bonn"}
CALL = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": WEATHER}
RESULT = {"type": "tool_call_response", "id": "c1", "response": "rain"}


def text(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


def message(role: str, *parts: object, **more: str) -> Message:
    return {"role": role, "parts": list(parts), **more}


def exchange(endpoint: str, request: bytes, response: bytes, content_type: bytes) -> Exchange:
    return Exchange(
        identity=Identity(request_id="r", trace_id="t"),
        provider="p",
        endpoint=endpoint,
        method="POST",
        path="/v1",
        started_at_us=0,
        ended_at_us=1,
        status=200,
        outcome=Outcome.COMPLETE,
        request_body=request,
        response_headers=((b"Content-Type", content_type),),
        response_body=response,
    )


def messages(endpoint: str, request: Any, response: Any) -> tuple[list[Message], list[Message]]:
    """Read a request and an answer; a list of objects is a stream of them."""
    kind = b"application/json"
    answer = json.dumps(response).encode()
    if isinstance(response, list):
        kind = b"text/event-stream"
        answer = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in response)
    return read(exchange(endpoint, json.dumps(request).encode(), answer, kind))


def read(logged: Exchange) -> tuple[list[Message], list[Message]]:
    found = message_attributes(logged)
    asked, answered = (
        json.loads(str(found.get(f"gen_ai.{side}.messages", "[]"))) for side in ("input", "output")
    )
    return asked, answered


CHAT = {
    "messages": [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "and here?"}, {"type": "image_url"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": json.dumps(WEATHER)}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
}
CHAT_ASKED = [
    message("system", text("be brief")),
    message("user", text("and here?"), {"type": "blob", "modality": "image"}),
    message("assistant", CALL),
    message("tool", RESULT),
]
CHAT_STREAM = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "It "}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "rains."}, "finish_reason": "stop"}]},
]


def test_chat_completions() -> None:
    answer = {"choices": [{"message": CHAT["messages"][2], "finish_reason": "tool_calls"}]}
    assert messages("chat.completions", CHAT, answer) == (
        CHAT_ASKED,
        [message("assistant", CALL, finish_reason="tool_calls")],
    )


def test_a_stream_is_one_message() -> None:
    _, said = messages("chat.completions", CHAT, CHAT_STREAM)
    assert said == [message("assistant", text("It rains."), finish_reason="stop")]


def test_completions() -> None:
    answer = {"choices": [{"text": "rain", "finish_reason": "length"}]}
    assert messages("completions", {"prompt": "I feel"}, answer) == (
        [message("user", text("I feel"))],
        [message("assistant", text("rain"), finish_reason="length")],
    )


def test_anthropic_s_messages() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": WEATHER}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "rain"}
    request = {
        "system": [{"type": "text", "text": "be brief"}],
        "messages": [
            {"role": "user", "content": "and here?"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    }
    answer = {
        "type": "message",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "rain"}, use],
        "stop_reason": "tool_use",
    }
    assert messages("messages", request, answer) == (
        [
            message("system", text("be brief")),
            message("user", text("and here?")),
            message("assistant", CALL),
            message("user", RESULT),
        ],
        [
            message(
                "assistant",
                {"type": "reasoning", "content": "hm"},
                text("rain"),
                CALL,
                finish_reason="tool_use",
            )
        ],
    )


def test_openai_s_responses() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": json.dumps(WEATHER)}
    request = {
        "instructions": "be brief",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "and here?"}]},
            call,
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        ],
    }
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "rain"}]}
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    answer = {"object": "response", "status": "completed", "output": [thought, said, call]}
    assert messages("responses", request, answer) == (
        [
            message("system", text("be brief")),
            message("user", text("and here?")),
            message("assistant", CALL),
            message("tool", RESULT),
        ],
        [
            message(
                "assistant",
                {"type": "reasoning", "content": "hm"},
                text("rain"),
                CALL,
                finish_reason="completed",
            )
        ],
    )


def test_what_is_too_long_is_cut() -> None:
    request = {"messages": [{"role": "user", "content": "x" * 2 * MAX_PART_CHARACTERS}]}
    [asked], _ = messages("chat.completions", request, {})
    assert asked["parts"] == [text("x" * MAX_PART_CHARACTERS + "…")]


@pytest.mark.parametrize(
    "endpoint", ["chat.completions", "completions", "responses", "messages", "embeddings"]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff{",
        b"[]",
        b'{"messages": [1, {"role": 3, "content": [null, {"text": 5}]}], "input": 3, "prompt": {}}',
        b'{"choices": [{"message": null}, 7, {"text": []}], "content": 4, "output": [{"type": []}]}',
    ],
)
def test_what_is_no_such_thing_is_no_message_or_an_empty_one(endpoint: str, body: bytes) -> None:
    for each in read(exchange(endpoint, body, body, b"application/json")):
        assert all(isinstance(part["type"], str) for message in each for part in message["parts"])
