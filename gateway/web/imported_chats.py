"""Prompts and answers of traces, in whatever shape they were traced, as bodies of chat completions."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.web.imported import body_bytes
from gateway.wire.endpoints import endpoint_of_logged_answer

_CHAT = "chat.completions"

# Where traced functions keep their messages, the first that there is.
_PROMPT_KEYS = ("messages", "prompts", "prompt", "input")
_ANSWER_KEYS = ("generations", "messages", "message", "output", "content", "text", "raw")

# Roles by what frameworks call them.
_ROLES = {
    "human": "user",
    "humanmessage": "user",
    "ai": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "systemmessage": "system",
    "toolmessage": "tool",
}


@dataclass(frozen=True, slots=True)
class ChatBodies:
    """A request and its answer as a provider would have had them."""

    request: bytes
    response: bytes
    endpoint: str


def chat_bodies(
    prompt: object, answer: object, model: str | None = None, parameters: Mapping[str, object] | None = None
) -> ChatBodies:
    """Return traced content as bodies. Raises BadInput for what is nested too deeply."""
    request = b"" if _is_empty(prompt) else body_bytes(_request(prompt, model, parameters or {}), "input")
    if _is_empty(answer):
        return ChatBodies(request, b"", _CHAT)
    if isinstance(answer, dict) and (endpoint := _endpoint_of_whole(answer)):
        return ChatBodies(request, body_bytes(answer, "output"), endpoint)
    choice = {"index": 0, "message": _answer(answer)}
    reply = {"object": "chat.completion", "model": model, "choices": [choice]}
    return ChatBodies(request, body_bytes(reply, "output"), _CHAT)


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def _endpoint_of_whole(answer: Mapping[str, object]) -> str | None:
    """Return the endpoint of an answer that was traced as its provider gave it."""
    endpoint = endpoint_of_logged_answer(answer, "")
    if endpoint in ("chat.completions", "messages", "responses", "completions", "embeddings"):
        return endpoint
    choices = answer.get("choices")
    return _CHAT if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _request(prompt: object, model: str | None, parameters: Mapping[str, object]) -> dict[str, object]:
    named = {"model": model} if model else {}
    if not isinstance(prompt, dict):
        return {**named, **parameters, "messages": to_messages(prompt)}
    key = next((key for key in _PROMPT_KEYS if key in prompt), None)
    if key is None:
        return {**named, **parameters, "messages": to_messages(prompt)}
    others = {name: value for name, value in prompt.items() if name != key}
    messages = to_messages(prompt[key])
    if isinstance(others.get("system"), str | dict | list) and not any(
        each.get("role") == "system" for each in messages
    ):
        messages.insert(0, _message(others.pop("system"), "system"))
    return {**named, **parameters, **others, "messages": messages}


def to_messages(value: object) -> list[dict[str, object]]:
    """Return a prompt as messages: a text is the user's, a list has one each."""
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if isinstance(value, list) and not _are_blocks(value):
        return [message for each in value for message in _messages_of(each)]
    return _messages_of(value)


def _messages_of(value: object) -> list[dict[str, object]]:
    content = value.get("content") if isinstance(value, dict) else None
    results = [block for block in content if _is_tool_result(block)] if isinstance(content, list) else []
    if isinstance(value, dict) and results and all("result" in block for block in results):
        others = [block for block in content or () if not _is_tool_result(block)]
        rest = [_message({**value, "content": others}, "user")] if others else []
        return [_tool_message(block) for block in results] + rest
    return [_message(value, "user")]


def _is_tool_result(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _tool_message(block: Mapping[str, object]) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": block.get("id"), "content": _text(block.get("result"))}


def _answer(value: object) -> dict[str, object]:
    while isinstance(value, list) and value and not _are_blocks(value):
        # Of a conversation the last message is the answer; of several answers the first is the one.
        value = value[-1] if isinstance(value[-1], dict) and _role_of(value[-1]) else value[0]
    if isinstance(value, dict) and _role_of(value) is None:
        key = next((key for key in _ANSWER_KEYS if value.get(key)), None)
        return _message(value, "assistant") if key is None else _answer(value[key])
    return _message(value, "assistant")


def _message(value: object, role: str) -> dict[str, object]:
    if isinstance(value, dict) and (own := _role_of(value)):
        fields = _fields_of(value)
        return _with_calls({**fields, "role": own, "content": fields.get("content")})
    if isinstance(value, list) and _are_blocks(value):
        return _with_calls({"role": role, "content": value})
    return {"role": role, "content": _text(value)}


def _role_of(value: Mapping[str, object]) -> str | None:
    kwargs, path = value.get("kwargs"), value.get("id")
    named = value.get("role") or value.get("type")
    if isinstance(kwargs, dict):
        named = (
            kwargs.get("role")
            or kwargs.get("type")
            or (path[-1] if isinstance(path, list) and path else None)
        )
    elif "role" not in value and not {"content", "data"} & set(value):
        return None
    name = str(named).lower() if named else None
    return None if name is None else _ROLES.get(name, name)


def _fields_of(message: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a message that a framework may have wrapped."""
    inner = message.get("kwargs") or message.get("data")
    if "role" in message and not isinstance(inner, dict):
        return dict(message)
    found = inner if isinstance(inner, dict) else message
    kept = {
        name: found[name] for name in ("content", "name", "tool_calls", "tool_call_id") if found.get(name)
    }
    extra = found.get("additional_kwargs")
    return {**kept, **(extra if isinstance(extra, dict) else {})}


def _with_calls(message: dict[str, object]) -> dict[str, object]:
    """Move calls of tools out of the content, and write text blocks alone as one text."""
    content, calls = message.get("content"), message.get("tool_calls")
    blocks = content if isinstance(content, list) else []
    in_content = [block for block in blocks if isinstance(block, dict) and block.get("type") == "tool_call"]
    listed = [*(calls if isinstance(calls, list) else []), *in_content]
    others = [block for block in blocks if block not in in_content]
    if in_content or (blocks and all(_is_text(block) for block in blocks)):
        texts = [
            str(block.get("text", block.get("value", ""))) for block in others if isinstance(block, dict)
        ]
        message["content"] = "\n".join(texts) or None
    if listed:
        message["tool_calls"] = [_call(call) for call in listed if isinstance(call, dict)]
    return message


def _call(call: Mapping[str, object]) -> dict[str, object]:
    if "function" in call:
        return dict(call)
    arguments = call.get("args", call.get("arguments", call.get("raw_arguments")))
    name = call.get("name") or call.get("raw_name")
    return {
        "id": call.get("id"),
        "type": "function",
        "function": {"name": name, "arguments": _text(arguments)},
    }


def _are_blocks(value: list[object]) -> bool:
    return bool(value) and all(
        isinstance(block, dict) and "type" in block and not {"role", "content", "data", "kwargs"} & set(block)
        for block in value
    )


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "text"


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
