"""Answers of the wires that several libraries speak, and what a row must say of them."""

from __future__ import annotations

import secrets
from typing import Any

Object = dict[str, Any]

GPT = "gpt-4o-mini"
CLAUDE = "claude-haiku-4-5"
GEMINI = "gemini-2.5-flash"
QUESTION = "How are you?"
QUESTIONS: list[Any] = [{"role": "user", "content": QUESTION}]


def fresh(prefix: str) -> str:
    """An id that no other answer has."""
    return f"{prefix}-{secrets.token_hex(8)}"


# OpenAI's chat completions

CHAT_USAGE = {
    "prompt_tokens": 210,
    "completion_tokens": 34,
    "total_tokens": 244,
    "prompt_tokens_details": {"cached_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
CHAT_ERROR: Object = {
    "error": {"message": "The engine died", "type": "server_error", "param": None, "code": None}
}
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q":"ann"}'}}
FIND = {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
FIND_TOOL: Any = {"type": "function", "function": FIND}


def chat(model: str = GPT, usage: Object = CHAT_USAGE, *, tools: bool = False) -> Object:
    """A chat completion that says "Hi there", or calls a tool."""
    said: Object = {"role": "assistant", "content": None if tools else "Hi there"}
    return {
        "id": fresh("chatcmpl"),
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": said | ({"tool_calls": [TOOL_CALL]} if tools else {}),
                "finish_reason": "tool_calls" if tools else "stop",
            }
        ],
        "usage": usage,
    }


def chat_chunk(
    answer_id: str, delta: Object | None, finish: str | None = None, model: str = GPT, **more: object
) -> Object:
    """A chunk of a stream; without a choice where there is no delta."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
        **more,
    }


def chat_begun(model: str = GPT) -> list[Object]:
    """The first chunks of a stream that says "Hi there"."""
    answer_id = fresh("chatcmpl")
    deltas: list[Object] = [{"role": "assistant", "content": ""}, {"content": "Hi "}, {"content": "there"}]
    return [chat_chunk(answer_id, delta, model=model) for delta in deltas]


def chat_stream(model: str = GPT) -> list[Object]:
    """All chunks of a stream that was asked for its usage."""
    begun = chat_begun(model)
    answer_id = begun[0]["id"]
    return [
        *begun,
        chat_chunk(answer_id, {}, "stop", model),
        chat_chunk(answer_id, None, model=model, usage=CHAT_USAGE),
    ]


def chat_facts(model: str = GPT, **more: object) -> Object:
    """What a row says of `chat` and of `chat_stream`."""
    return {
        "requested_model": model,
        "model": model,
        "prompt_tokens": 210,
        "completion_tokens": 34,
        "cached_tokens": 100,
        "reasoning_tokens": 5,
        "finish_reason": "stop",
        **more,
    }


def embeddings(model: str = "text-embedding-3-small") -> Object:
    """An answer of OpenAI's embeddings, for one text."""
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "model": model,
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }


# Anthropic's messages

MESSAGE_ERROR: Object = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
MESSAGE_USAGE = {
    "input_tokens": 40,
    "cache_read_input_tokens": 150,
    "cache_creation_input_tokens": 50,
    "output_tokens": 9,
}


def message(model: str = CLAUDE) -> Object:
    """A message that says "Hi there"."""
    return {
        "id": fresh("msg"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "Hi there"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
    }


def message_begun(model: str = CLAUDE) -> list[Object]:
    """The first events of a stream that says "Hi there"."""
    start = message(model) | {
        "content": [],
        "stop_reason": None,
        "usage": MESSAGE_USAGE | {"output_tokens": 1},
    }
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there"}},
    ]


def message_stream(model: str = CLAUDE) -> list[Object]:
    """All events of that stream."""
    return [
        *message_begun(model),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]


def message_facts(model: str = CLAUDE, **more: object) -> Object:
    """What a row says of `message` and of `message_stream`."""
    return {
        "requested_model": model,
        "model": model,
        "prompt_tokens": 240,
        "completion_tokens": 9,
        "cached_tokens": 150,
        "cache_write_tokens": 50,
        "finish_reason": "end_turn",
        **more,
    }


# OpenAI's responses


def response(model: str = "gpt-5-mini", **more: object) -> Object:
    """A response that says "Hi there"."""
    said = {"type": "output_text", "text": "Hi there", "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [said]}
    return {
        "id": fresh("resp"),
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "usage": {
            "input_tokens": 210,
            "output_tokens": 34,
            "total_tokens": 244,
            "input_tokens_details": {"cached_tokens": 100},
            "output_tokens_details": {"reasoning_tokens": 5},
        },
        **more,
    }


def response_begun() -> list[Object]:
    """The first events of a stream that says "Hi there"."""
    started = response(status="in_progress", output=[], usage=None)
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    events: list[Object] = [
        {"type": "response.created", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *({"type": "response.output_text.delta", "delta": text, **place} for text in ("Hi ", "there")),
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def response_stream() -> list[Object]:
    """All events of that stream."""
    begun = response_begun()
    done = response(id=begun[0]["response"]["id"])
    item = {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]}
    return [
        *begun,
        item | {"sequence_number": len(begun)},
        {"type": "response.completed", "response": done, "sequence_number": len(begun) + 1},
    ]


# Gemini's generateContent

GEMINI_USAGE = {
    "promptTokenCount": 500,
    "candidatesTokenCount": 60,
    "thoughtsTokenCount": 340,
    "cachedContentTokenCount": 200,
    "totalTokenCount": 900,
}
GEMINI_ERROR: Object = {
    "error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
}


def gemini(
    *parts: Object,
    finish: str | None = "STOP",
    usage: Object = GEMINI_USAGE,
    answer_id: str | None = None,
) -> Object:
    """An answer, or one chunk of a stream."""
    candidate: Object = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": usage,
        "modelVersion": GEMINI,
        "responseId": answer_id or fresh("gemini"),
    }


def gemini_begun() -> list[Object]:
    """The first chunks of a stream that says "Hi there"; counts grow from chunk to chunk."""
    counts = {"promptTokenCount": 500, "candidatesTokenCount": 1, "totalTokenCount": 501}
    answer_id = fresh("gemini")
    texts = ("Hi ", "there")
    return [gemini({"text": text}, finish=None, usage=counts, answer_id=answer_id) for text in texts]


def gemini_stream() -> list[Object]:
    """All chunks of that stream."""
    begun = gemini_begun()
    return [*begun, gemini({"text": ""}, answer_id=begun[0]["responseId"])]


def gemini_facts(**more: object) -> Object:
    """What a row says of `gemini` and of `gemini_stream`."""
    return {
        "requested_model": GEMINI,
        "model": GEMINI,
        "prompt_tokens": 500,
        "completion_tokens": 400,
        "cached_tokens": 200,
        "reasoning_tokens": 340,
        "finish_reason": "STOP",
        "cost_nanousd": 1_096_000,
        **more,
    }
