"""What was asked and answered, in the shapes in which providers are asked and answer."""

from __future__ import annotations

import json

import pytest

from gateway.wire import read_conversation
from gateway.wire.formats import WireMessage


def question_of(body: bytes) -> str:
    asked = WireMessage("/v1/somewhere", (), body)
    return read_conversation("other", asked, WireMessage("/v1/somewhere", (), b"")).question


def answer_of(body: bytes) -> str:
    answered = WireMessage("/v1/somewhere", (), body)
    return read_conversation("other", WireMessage("/v1/somewhere", (), b""), answered).answer


PARTS = [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {}}, {"text": "parts"}]


@pytest.mark.parametrize(
    ("request_body", "question"),
    [
        ({"messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "q"}]}, "q"),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "q"),
        (
            {"messages": [{"role": "user", "content": "first"}, {"role": "user", "content": PARTS}]},
            "two parts",
        ),
        # The results of a tool come in a user's turn, but are not what the user says.
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "user", "content": [{"type": "tool_result", "content": "x"}]},
                ]
            },
            "q",
        ),
        ({"input": "q"}, "q"),
        ({"input": ["q", "r"]}, "q r"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "q"}]}]}, "q"),
        ({"input": {"prompt": "q"}}, "q"),
        ({"contents": [{"parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]}, "q"),
        ({"prompt": "q"}, "q"),
        ({"inputs": "q"}, "q"),
        ({"message": "q", "chat_history": []}, "q"),
        ({"messages": "none", "input": 5}, ""),
        ([], ""),
    ],
)
def test_the_question_is_what_a_user_said_last(request_body: object, question: str) -> None:
    assert question_of(json.dumps(request_body).encode()) == question


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"choices": [{"message": {"content": None, "refusal": "I cannot"}}]}, "I cannot"),
        ({"choices": [{"message": {"role": "assistant", "content": "a"}}]}, "a"),
        ({"choices": [{"text": "a"}]}, "a"),
        (
            {
                "type": "message",
                "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}],
            },
            "a",
        ),
        (
            {
                "output": [
                    {"type": "reasoning", "content": [{"text": "t"}]},
                    {"type": "message", "content": [{"text": "a"}]},
                ]
            },
            "a",
        ),
        ({"candidates": [{"content": {"parts": [{"text": "t", "thought": True}, {"text": "a"}]}}]}, "a"),
        ({"message": {"content": [{"text": "a"}]}}, "a"),
        ({"output": {"message": {"content": [{"text": "a"}]}}}, "a"),
        ({"output": {"choices": [{"message": {"content": "a"}}]}}, "a"),
        ({"model": "m", "response": "a"}, "a"),
        ([{"generated_text": "a"}], "a"),
        ({"choices": [{"message": {"content": None, "tool_calls": []}}]}, ""),
        ({"data": [{"embedding": [0.5]}]}, ""),
        ({"error": {"message": "busy"}}, ""),
        (None, ""),
    ],
)
def test_the_answer_is_what_the_model_says_and_not_what_it_thinks(answer: object, text: str) -> None:
    assert answer_of(json.dumps(answer).encode()) == text


def test_bytes_that_are_no_json_have_neither() -> None:
    assert question_of(b"\xff{") == answer_of(b"data: [DONE]") == ""
