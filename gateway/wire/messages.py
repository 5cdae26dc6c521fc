"""Messages of a request and its answer in OpenTelemetry's shape, and text excerpts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.models.exchange import Exchange
from gateway.wire.content_encoding import decode
from gateway.wire.facts import reassemble
from gateway.wire.json_fields import (
    JsonObject,
    object_in,
    objects_in,
    parse_json,
    parse_object,
    parse_tool_input,
)

_TURN_FIELDS = ("messages", "input", "contents")
"""Where requests have the turns of a conversation."""
_PROMPT_FIELDS = ("input", "prompt", "inputs", "query", "message", "inputText", "text")
"""Where requests have one text, or several."""
_ANSWER_FIELDS = (
    "output_text",
    "outputText",
    "content",
    "response",
    "generated_text",
    "generation",
    "result",
    "text",
    "refusal",
)
_MAX_DEPTH = 8


def excerpt_question(body: bytes) -> str:
    """Return the last text that a user says in a request's decoded body; empty where there is none."""
    request = parse_object(body)
    if request is None:
        return ""
    for name in _TURN_FIELDS:
        turns = [turn for turn in objects_in(request, name) if turn.get("role", "user") == "user"]
        for turn in reversed(turns):
            if text := _content_text(turn.get("content", turn.get("parts"))):
                return text
    return _find_prompt(object_in(request, "input") or request)


def excerpt_answer(answer: object) -> str:
    """Return the text of an answer that is no stream, or of one put together; empty where there is none."""
    if isinstance(answer, bytes):
        try:
            answer = parse_json(answer)
        except orjson.JSONDecodeError:
            return ""
    return _find_answer(answer, _MAX_DEPTH)


def _find_prompt(request: JsonObject) -> str:
    return next((text for name in _PROMPT_FIELDS if (text := _content_text(request.get(name)))), "")


def _find_answer(answer: object, depth: int) -> str:
    if isinstance(answer, list):
        return next((text for part in answer if (text := _find_answer(part, depth))), "")
    if not isinstance(answer, dict) or not depth:
        return ""
    # In output items of other kinds, such as a chain of thought, there is text that nobody was told.
    if answer.get("type", "message") in ("reasoning", "thinking"):
        return ""
    if parts := object_in(answer, "content").get("parts"):
        return _content_text(parts)
    for name in _ANSWER_FIELDS:
        if text := _content_text(answer.get(name)):
            return text
    for name in ("choices", "message", "candidates", "output", "results", "data", "generations"):
        if text := _find_answer(answer.get(name), depth - 1):
            return text
    return ""


def _content_text(content: object) -> str:
    """The text of a message's content, or of a list of texts; parts of other kinds are left out."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str) and not part.get("thought"):
            texts.append(part["text"])
    return " ".join(texts)


Message = dict[str, Any]
"""A role, parts, and for an answer why it ended."""

Messages = tuple[list[Message], list[Message]]
"""What was asked and what was answered."""

MAX_PART_CHARACTERS = 16_000
"""Most characters of a part. Of longer text the beginning is kept."""

_ELLIPSIS = "…"
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal"})
_REASONING = frozenset({"thinking", "reasoning"})
_UNKNOWN = "unknown"


def read_messages(exchange: Exchange) -> Messages:
    """Return the messages of an exchange; none of a side that cannot be read, or of a kind of call that has none.
    Never raises."""
    readers = _READERS.get(exchange.endpoint)
    if readers is None:
        return [], []
    read_request, read_answer = readers
    request = parse_object(decode(exchange.request_body, exchange.request_headers).data)
    answer = _read_answer_body(exchange)
    return (
        [] if request is None else [message for message in read_request(request) if message["parts"]],
        [] if answer is None else [message for message in read_answer(answer) if message["parts"]],
    )


def _read_answer_body(exchange: Exchange) -> JsonObject | None:
    body = decode(exchange.response_body, exchange.response_headers).data
    content_type = next(
        (
            value.decode("latin-1")
            for name, value in exchange.response_headers
            if name.lower() == b"content-type"
        ),
        "",
    )
    whole = reassemble(exchange.endpoint, content_type, body)
    return whole if isinstance(whole, dict) else parse_object(body)


def _chat_request(request: JsonObject) -> Iterator[Message]:
    for message in objects_in(request, "messages"):
        yield _chat_message(message)


def _chat_message(message: JsonObject) -> Message:
    role = _role(message)
    if role == "tool":
        return _tool_result(message.get("tool_call_id"), message.get("content"))
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    parts = [_text("reasoning", reasoning)] if isinstance(reasoning, str) and reasoning else []
    parts += _parts(message.get("content")) + _parts(message.get("refusal"))
    for call in objects_in(message, "tool_calls"):
        called = object_in(call, "function")
        parts.append(_tool_call(call.get("id"), called.get("name"), called.get("arguments")))
    return {"role": role, "parts": parts}


def _chat_answer(answer: JsonObject) -> Iterator[Message]:
    for choice in objects_in(answer, "choices"):
        if "text" in choice:
            yield _with_finish_reason(
                {"role": "assistant", "parts": _parts(choice["text"])}, choice.get("finish_reason")
            )
        else:
            yield _with_finish_reason(
                _chat_message(object_in(choice, "message")), choice.get("finish_reason")
            )


def _completion_request(request: JsonObject) -> Iterator[Message]:
    prompt = request.get("prompt")
    for text in prompt if isinstance(prompt, list) else [prompt]:
        yield {"role": "user", "parts": _parts(text)}


def _anthropic_request(request: JsonObject) -> Iterator[Message]:
    yield {"role": "system", "parts": _parts(request.get("system"))}
    for message in objects_in(request, "messages"):
        yield {"role": _role(message), "parts": _parts(message.get("content"))}


def _anthropic_answer(answer: JsonObject) -> Iterator[Message]:
    yield _with_finish_reason(
        {"role": "assistant", "parts": _parts(answer.get("content"))}, answer.get("stop_reason")
    )


def _responses_request(request: JsonObject) -> Iterator[Message]:
    yield {"role": "system", "parts": _parts(request.get("instructions"))}
    if isinstance(request.get("input"), str):
        yield {"role": "user", "parts": _parts(request["input"])}
    for item in objects_in(request, "input"):
        yield _responses_item(item)


def _responses_answer(answer: JsonObject) -> Iterator[Message]:
    parts = [part for item in objects_in(answer, "output") for part in _responses_item(item)["parts"]]
    yield _with_finish_reason({"role": "assistant", "parts": parts}, answer.get("status"))


def _responses_item(item: JsonObject) -> Message:
    kind = item.get("type")
    if kind == "function_call":
        return {
            "role": "assistant",
            "parts": [_tool_call(item.get("call_id"), item.get("name"), item.get("arguments"))],
        }
    if kind == "function_call_output":
        return _tool_result(item.get("call_id"), item.get("output"))
    if kind == "reasoning":
        texts = [part.get("text") for part in objects_in(item, "summary") + objects_in(item, "content")]
        return {
            "role": "assistant",
            "parts": [_text("reasoning", text) for text in texts if isinstance(text, str)],
        }
    if kind in (None, "message"):
        return {"role": _role(item), "parts": _parts(item.get("content"))}
    return {"role": "assistant", "parts": [{"type": str(kind)}]}


def _parts(content: object) -> list[JsonObject]:
    """The parts of a content that is a text or a list of typed parts."""
    if isinstance(content, str):
        return [_text("text", content)] if content else []
    if not isinstance(content, list):
        return []
    return [_part(part) for part in content if isinstance(part, dict)]


def _part(part: JsonObject) -> JsonObject:
    kind = part.get("type")
    if kind in _TEXTS:
        return _text("text", part.get("text", part.get("refusal")))
    if kind in _REASONING:
        return _text("reasoning", part.get("thinking", part.get("reasoning")))
    if kind in ("tool_use", "server_tool_use"):
        return _tool_call(part.get("id"), part.get("name"), part.get("input"))
    if kind == "tool_result":
        return _tool_response(part.get("tool_use_id"), part.get("content"))
    # What pictures, sounds and files hold is left out.
    return {"type": str(kind or _UNKNOWN)}


def _text(kind: str, text: object) -> JsonObject:
    content = text if isinstance(text, str) else ""
    return {
        "type": kind,
        "content": content[:MAX_PART_CHARACTERS] + (_ELLIPSIS if len(content) > MAX_PART_CHARACTERS else ""),
    }


def _tool_call(call_id: object, name: object, arguments: object) -> JsonObject:
    given = parse_tool_input(arguments, None) if isinstance(arguments, str) else arguments
    return {
        "type": "tool_call",
        "id": _string_or_none(call_id),
        "name": _string_or_none(name) or _UNKNOWN,
        "arguments": _truncate(given),
    }


def _tool_result(call_id: object, content: object) -> Message:
    return {"role": "tool", "parts": [_tool_response(call_id, content)]}


def _tool_response(call_id: object, content: object) -> JsonObject:
    response = _parts(content) if isinstance(content, list) else content
    return {"type": "tool_call_response", "id": _string_or_none(call_id), "response": _truncate(response)}


def _truncate(value: object) -> object:
    """A value as it is, or the beginning of its JSON where that is too long."""
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return None
    return value if len(text) <= MAX_PART_CHARACTERS else text[:MAX_PART_CHARACTERS] + _ELLIPSIS


def _string_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _role(message: JsonObject) -> str:
    role = message.get("role")
    # The schema knows no role of this name.
    return "system" if role == "developer" else role if isinstance(role, str) else "user"


def _with_finish_reason(message: Message, reason: object) -> Message:
    return {**message, "finish_reason": reason if isinstance(reason, str) else _UNKNOWN}


_MessageReader = Callable[[JsonObject], Iterator[Message]]

_READERS: Mapping[str, tuple[_MessageReader, _MessageReader]] = {
    "chat.completions": (_chat_request, _chat_answer),
    "completions": (_completion_request, _chat_answer),
    "responses": (_responses_request, _responses_answer),
    "messages": (_anthropic_request, _anthropic_answer),
}
