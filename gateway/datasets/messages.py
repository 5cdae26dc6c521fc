"""A Conversation as chat messages that trainers' chat templates take; what they would spoil is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from gateway.models.conversation import (
    Conversation,
    Media,
    Message,
    OtherPart,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

# `role` and `content`, perhaps `reasoning_content`, `tool_calls`, `tool_call_id` and `name`.
ChatMessage = dict[str, Any]

# Messages before and after the place where the model's answer begins.
_SEPARATOR = "\n\n"
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_CUT_REASONS = frozenset(
    {
        "length", "max_tokens", "max_output_tokens", "model_length", "token_limit", "incomplete",
        "max_tokens_reached", "model_context_window_exceeded",
    }
)  # fmt: skip
_BLOCKED_REASONS = frozenset(
    {
        "content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content", "spii",
        "guardrail_intervened",
    }
)  # fmt: skip


class LeftOut(Exception):
    """This request is no training data; the message says why, in the same words for each such request."""


@dataclass(frozen=True, slots=True)
class MessageOptions:
    """What of a conversation becomes messages.

    Args:
        reasoning: a model's reasoning as `reasoning_content`.
        refusals: refusals as the answer's text; else such choices are left out.
    """

    reasoning: bool = False
    refusals: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an answer; several messages where the provider ran tools itself."""

    messages: list[ChatMessage]

    @property
    def text(self) -> str:
        return str(self.messages[-1]["content"])


@dataclass(frozen=True, slots=True)
class ChatRow:
    """What a model was asked, and what it answered.

    Args:
        tools: JSON text of the declared tools in OpenAI's form; None without any.
        left_out: why choices of the answer are not among `choices`.
    """

    prompt: list[ChatMessage]
    choices: list[Choice]
    tools: str | None
    left_out: list[str] = field(default_factory=list)


def chat_row(said: Conversation, options: MessageOptions) -> ChatRow:
    """Return prompt and choices as messages. Raises LeftOut where the prompt cannot be one."""
    calls = _Calls()
    prompt = _prompt(said.input, calls, options)
    row = ChatRow(prompt, [], tools_text(said.tools))
    for output in said.output:
        try:
            row.choices.append(_choice(output, calls, options))
        except LeftOut as reason:
            row.left_out.append(str(reason))
    if not said.output:
        row.left_out.append("no answer")
    return row


def _prompt(messages: Sequence[Message], calls: _Calls, options: MessageOptions) -> list[ChatMessage]:
    prompt: list[ChatMessage] = []
    for message in messages:
        for chat in _chat_messages(message, calls, options):
            if chat["role"] == "system" and prompt and prompt[-1]["role"] != "system":
                raise LeftOut("a system message after the first turn")
            if prompt and _is_continued(prompt[-1], chat):
                _join(prompt[-1], chat)
            else:
                prompt.append(chat)
    if not prompt or prompt[-1]["role"] == "system":
        raise LeftOut("no question")
    if prompt[-1]["role"] == "assistant":
        # The answer goes on in the middle of this turn, which no chat template can show.
        raise LeftOut("the prompt ends with a turn of the assistant")
    return prompt


def _choice(output: Message, calls: _Calls, options: MessageOptions) -> Choice:
    reason = (output.finish_reason or "").lower()
    if reason in _CUT_REASONS:
        raise LeftOut("the answer was cut at its limit")
    if reason in _BLOCKED_REASONS:
        raise LeftOut("the answer was filtered")
    if not options.refusals and any(isinstance(part, Refusal) for part in output.parts):
        raise LeftOut("the answer is a refusal")
    # Choices do not see each other's calls.
    messages = list(_chat_messages(output, calls.copy(), options, role="assistant"))
    if not messages or not any(one["content"] or "tool_calls" in one for one in messages):
        raise LeftOut("the answer is empty")
    if messages[-1]["role"] != "assistant":
        raise LeftOut("the answer ends with a tool's result")
    return Choice(messages)


def _chat_messages(
    message: Message, calls: _Calls, options: MessageOptions, role: str | None = None
) -> Iterator[ChatMessage]:
    role = role or message.role
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text and role != "tool" and role in _ROLES:
        # Most messages are one text, and there are millions of them.
        yield {"role": role, "content": parts[0].content}
        return
    if role not in _ROLES:
        raise LeftOut("a role other than system, user, assistant and tool")
    pending: list[Part] = []
    for part in parts:
        if not isinstance(part, ToolResult):
            pending.append(part)
            continue
        # Anthropic puts results into a user's turn, and those of its own tools into the assistant's.
        if pending:
            yield _chat_message(role, pending, calls, options)
            pending = []
        yield _tool_message(part, calls)
    if pending or not parts:
        yield _chat_message("user" if role == "tool" else role, pending, calls, options)


def _chat_message(role: str, parts: Sequence[Part], calls: _Calls, options: MessageOptions) -> ChatMessage:
    texts: list[str] = []
    reasoning: list[str] = []
    tool_calls: list[ChatMessage] = []
    for part in parts:
        match part:
            case Text(content) | Refusal(content):
                texts.append(content)
            case ToolCall():
                tool_calls.append(_tool_call(part, calls))
            case Reasoning(content):
                reasoning.append(content)
            case _:
                raise _not_text(part)
    # Models break their own sentences into parts, where they cite something; callers put whole texts side by side.
    chat: ChatMessage = {"role": role, "content": ("" if role == "assistant" else "\n").join(texts)}
    if options.reasoning and (thought := _SEPARATOR.join(filter(None, reasoning))):
        chat["reasoning_content"] = thought
    if tool_calls:
        chat["tool_calls"] = tool_calls
    return chat


def _not_text(part: Part) -> LeftOut:
    match part:
        case Media(modality):
            return LeftOut(f"{modality} content")
        case OtherPart():
            return LeftOut("content that is not text")
    return LeftOut("a tool's result inside another")


def _tool_call(call: ToolCall, calls: _Calls) -> ChatMessage:
    function = {"name": call.name, "arguments": _arguments(call.arguments)}
    return {"id": calls.add(call.id, call.name), "type": "function", "function": function}


def _arguments(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        arguments = orjson.loads(text)
        # Readers in other languages round longer numbers.
        orjson.dumps(arguments, option=orjson.OPT_STRICT_INTEGER)
    except orjson.JSONDecodeError:
        arguments = None
    except TypeError:
        raise LeftOut("a number beyond 53 bits in a tool's arguments") from None
    if not isinstance(arguments, dict):
        raise LeftOut("a tool's arguments that are no JSON object")
    return arguments


def _tool_message(result: ToolResult, calls: _Calls) -> ChatMessage:
    call_id, name = calls.answer(result.id, result.name)
    texts: list[str] = []
    for part in result.content:
        if not isinstance(part, Text):
            raise _not_text(part)
        texts.append(part.content)
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": "\n".join(texts)}


class _Calls:
    """The calls of a conversation so far; those without an id are numbered."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        # Not answered yet, by id.
        self._open: dict[str, str] = {}

    def copy(self) -> _Calls:
        copied = _Calls()
        copied._names, copied._open = dict(self._names), dict(self._open)
        return copied

    def add(self, call_id: str | None, name: str) -> str:
        call_id = call_id or f"call_{len(self._names) + 1}"
        self._names[call_id] = self._open[call_id] = name
        return call_id

    def answer(self, call_id: str | None, name: str | None) -> tuple[str, str]:
        """Return id and name of the call that a result is of: by its id, else its name, else its place."""
        if not call_id:
            known = (open_id for open_id, called in self._open.items() if name is None or called == name)
            call_id = next(known, None)
        if call_id is None or call_id not in self._names:
            raise LeftOut("a tool's result without its call")
        self._open.pop(call_id, None)
        return call_id, self._names[call_id]


def _is_continued(before: ChatMessage, after: ChatMessage) -> bool:
    """Tell whether two messages are one turn: many templates refuse two turns of one role."""
    return bool(before["role"] == after["role"] != "tool")


def _join(before: ChatMessage, after: ChatMessage) -> None:
    for key in ("content", "reasoning_content"):
        if texts := [text for text in (before.get(key), after.get(key)) if text]:
            before[key] = _SEPARATOR.join(texts)
    if called := after.get("tool_calls"):
        before["tool_calls"] = [*before.get("tool_calls", ()), *called]


@lru_cache(maxsize=256)
def tools_text(tools: tuple[Tool, ...]) -> str | None:
    """Return declared tools as JSON text in OpenAI's form; None without any."""
    # Applications declare the same ones with each request.
    declared = [_declaration(tool) for tool in tools]
    return orjson.dumps(declared).decode() if declared else None


def _declaration(tool: Tool) -> Mapping[str, object]:
    try:
        parameters = orjson.loads(tool.parameters or "null")
    except orjson.JSONDecodeError:
        parameters = None
    is_schema = isinstance(parameters, dict)
    function = {
        "name": tool.name,
        # The template of gpt-oss fails without it.
        "description": tool.description or "",
        "parameters": parameters if is_schema else {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": function}


def openai_messages(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Return messages as OpenAI's API takes them: arguments as text, no name beside a result's id."""
    return [_openai_message(message) for message in messages]


def _openai_message(message: ChatMessage) -> ChatMessage:
    plain = {key: value for key, value in message.items() if key not in {"name", "reasoning_content"}}
    if calls := message.get("tool_calls"):
        plain["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _text(call["function"]["arguments"])}}
            for call in calls
        ]
    return plain


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def json_line(row: object, option: int = orjson.OPT_APPEND_NEWLINE) -> bytes:
    """Return a value as a line of JSON; halves of surrogate pairs become replacement characters."""
    try:
        return orjson.dumps(row, option=option)
    except TypeError:
        return orjson.dumps(_without_surrogates(row), option=option)


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def has_parallel_calls(messages: Iterable[ChatMessage]) -> bool:
    return any(len(message.get("tool_calls", ())) > 1 for message in messages)
