"""Traced prompts and answers in the shapes that frameworks give them, as bodies of chat completions."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.web.imported_chats import chat_bodies

USER = {"role": "user", "content": "Hi"}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}],
}

PROMPTS: dict[str, tuple[object, dict[str, Any]]] = {
    "text": ("Hi", {"messages": [USER]}),
    "messages": ([USER], {"messages": [USER]}),
    "in an object": ({"messages": [USER], "top_p": 1}, {"messages": [USER], "top_p": 1}),
    "batch of one": ({"messages": [[USER]]}, {"messages": [USER]}),
    "prompts": ({"prompts": ["Hi"]}, {"messages": [USER]}),
    "system beside": (
        {"system": "Short.", "messages": [USER]},
        {"messages": [{"role": "system", "content": "Short."}, USER]},
    ),
    "serialised": ({"messages": [{"type": "human", "data": {"content": "Hi"}}]}, {"messages": [USER]}),
    "blocks": ([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], {"messages": [USER]}),
    "result of a tool": (
        [{"role": "user", "content": [{"type": "tool_result", "id": "c1", "name": "find", "result": "9"}]}],
        {"messages": [{"role": "tool", "tool_call_id": "c1", "content": "9"}]},
    ),
    "image": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}],
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
    ),
    "something else": ({"question": 5}, {"messages": [{"role": "user", "content": '{"question":5}'}]}),
}


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_becomes_messages(prompt: object, expected: dict[str, Any]) -> None:
    assert orjson.loads(chat_bodies(prompt, None).request) == expected


ANSWERS: dict[str, tuple[object, dict[str, Any]]] = {
    "text": ("Yes", {"role": "assistant", "content": "Yes"}),
    "message": ({"role": "assistant", "content": "Yes"}, {"role": "assistant", "content": "Yes"}),
    "output": ({"output": "Yes"}, {"role": "assistant", "content": "Yes"}),
    "conversation": (
        {"messages": [USER, {"type": "ai", "content": "Yes"}]}, {"role": "assistant", "content": "Yes"},
    ),
    "generations": ({"generations": [[{"text": "Yes"}]]}, {"role": "assistant", "content": "Yes"}),
    "blocks": ([{"type": "text", "text": "Yes"}], {"role": "assistant", "content": "Yes"}),
    "block of a call": (
        [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"a": 1}, "raw_name": "find"}], CALLED,
    ),
    "call": ({"role": "assistant", "content": None, "tool_calls": CALLED["tool_calls"]}, CALLED),
    "JSON": ({"raw": '{"a":1}', "parsed": {"a": 1}}, {"role": "assistant", "content": '{"a":1}'}),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_becomes_a_message(answer: object, expected: dict[str, Any]) -> None:
    found = chat_bodies("Hi", answer)

    assert found.endpoint == "chat.completions"
    assert orjson.loads(found.response)["choices"][0]["message"] == expected


@pytest.mark.parametrize(
    ("answer", "endpoint"),
    [
        ({"id": "r", "choices": [{"message": {"role": "assistant", "content": "Yes"}}]}, "chat.completions"),
        ({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes"}]}, "messages"),
        ({"object": "response", "output": []}, "responses"),
    ],
)
def test_an_answer_that_was_traced_whole_is_kept(answer: dict[str, Any], endpoint: str) -> None:
    found = chat_bodies("Hi", answer)

    assert (orjson.loads(found.response), found.endpoint) == (answer, endpoint)
