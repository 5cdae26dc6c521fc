"""What was asked and answered, as messages in one shape for several formats.

Source: OpenTelemetry, semantic conventions for generative AI: the JSON schemas of `gen_ai.input.messages` and
`gen_ai.output.messages`; and for what is read, the APIs of OpenAI (chat completions, completions, responses) and
Anthropic (messages). Providers that speak the first of them at paths of their own are read like it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.domain.exchange import Exchange
from gateway.wire.content import decode
from gateway.wire.fields import JsonObject, object_in, objects_in, parse_object
from gateway.wire.folding import parse_input
from gateway.wire.reading import reassemble

Message = dict[str, Any]
"""A role, parts, and for an answer why it ended."""

Messages = tuple[list[Message], list[Message]]
"""What was asked and what was answered."""

LONGEST_TEXT = 16_000
"""Most characters of a part. Of longer text the beginning is kept."""

_CUT = "…"
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
    answer = _answer_of(exchange)
    return (
        [] if request is None else [message for message in read_request(request) if message["parts"]],
        [] if answer is None else [message for message in read_answer(answer) if message["parts"]],
    )


def _answer_of(exchange: Exchange) -> JsonObject | None:
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
            yield _ended({"role": "assistant", "parts": _parts(choice["text"])}, choice.get("finish_reason"))
        else:
            yield _ended(_chat_message(object_in(choice, "message")), choice.get("finish_reason"))


def _completion_request(request: JsonObject) -> Iterator[Message]:
    prompt = request.get("prompt")
    for text in prompt if isinstance(prompt, list) else [prompt]:
        yield {"role": "user", "parts": _parts(text)}


def _anthropic_request(request: JsonObject) -> Iterator[Message]:
    yield {"role": "system", "parts": _parts(request.get("system"))}
    for message in objects_in(request, "messages"):
        yield {"role": _role(message), "parts": _parts(message.get("content"))}


def _anthropic_answer(answer: JsonObject) -> Iterator[Message]:
    yield _ended({"role": "assistant", "parts": _parts(answer.get("content"))}, answer.get("stop_reason"))


def _responses_request(request: JsonObject) -> Iterator[Message]:
    yield {"role": "system", "parts": _parts(request.get("instructions"))}
    if isinstance(request.get("input"), str):
        yield {"role": "user", "parts": _parts(request["input"])}
    for item in objects_in(request, "input"):
        yield _responses_item(item)


def _responses_answer(answer: JsonObject) -> Iterator[Message]:
    parts = [part for item in objects_in(answer, "output") for part in _responses_item(item)["parts"]]
    yield _ended({"role": "assistant", "parts": parts}, answer.get("status"))


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
    return {"type": kind, "content": content[:LONGEST_TEXT] + (_CUT if len(content) > LONGEST_TEXT else "")}


def _tool_call(call_id: object, name: object, arguments: object) -> JsonObject:
    given = parse_input(arguments, None) if isinstance(arguments, str) else arguments
    return {
        "type": "tool_call",
        "id": _id(call_id),
        "name": _id(name) or _UNKNOWN,
        "arguments": _bounded(given),
    }


def _tool_result(call_id: object, content: object) -> Message:
    return {"role": "tool", "parts": [_tool_response(call_id, content)]}


def _tool_response(call_id: object, content: object) -> JsonObject:
    response = _parts(content) if isinstance(content, list) else content
    return {"type": "tool_call_response", "id": _id(call_id), "response": _bounded(response)}


def _bounded(value: object) -> object:
    """A value as it is, or the beginning of its JSON where that is too long."""
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return None
    return value if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + _CUT


def _id(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _role(message: JsonObject) -> str:
    role = message.get("role")
    # The schema knows no role of this name.
    return "system" if role == "developer" else role if isinstance(role, str) else "user"


def _ended(message: Message, reason: object) -> Message:
    return {**message, "finish_reason": reason if isinstance(reason, str) else _UNKNOWN}


_Reader = Callable[[JsonObject], Iterator[Message]]

_READERS: Mapping[str, tuple[_Reader, _Reader]] = {
    "chat.completions": (_chat_request, _chat_answer),
    "completions": (_completion_request, _chat_answer),
    "responses": (_responses_request, _responses_answer),
    "messages": (_anthropic_request, _anthropic_answer),
}
