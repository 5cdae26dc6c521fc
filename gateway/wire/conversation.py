"""Messages of all providers read into a Conversation; formats pass a reader of parts that only they have."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType

import orjson

from gateway.models.conversation import (
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
from gateway.wire.json_fields import JsonObject, object_in, objects_in, text_in

# Parts of one part (a result of a tool has some) nest no deeper than two; hostile ones nest beyond the stack.
MAX_DEPTH = 4

_MAX_URI = 4096
_UNKNOWN = "unknown"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://")

_JSON_TYPES: Mapping[type, str] = {int: "number", float: "number", bool: "boolean", NoneType: "null"}

_ROLES = {"developer": "system", "model": "assistant", "chatbot": "assistant", "function": "tool"}
_ITEM_ROLES = {"message": "user", "user_input": "user", "model_output": "assistant"}

_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
_REASONING_TYPES = frozenset({"thinking", "reasoning", "redacted_thinking", "thought"})
_MEDIA_TYPES = {
    "image": "image",
    "image_url": "image",
    "image_base64": "image",
    "input_image": "image",
    "image_generation_call": "image",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
    "video": "video",
    "video_url": "video",
    "document": "document",
    "document_url": "document",
    "file": "file",
    "input_file": "file",
    "container_upload": "file",
}
_CONTENT_TYPES = _TEXT_TYPES | (_MEDIA_TYPES.keys() - {"image_generation_call"})
_MODALITIES = ("image", "audio", "video", "document", "file")

_URI_FIELDS = frozenset(
    {"url", "uri", "image_url", "audio_url", "video_url", "document_url", "file_url", "file_uri", "fileUri"}
)
_DATA_FIELDS = (
    frozenset({"data", "bytes", "file_data", "b64_json", "image_base64", "result", *_MODALITIES})
    | _URI_FIELDS
)
_TYPE_FIELDS = frozenset({"media_type", "mime_type", "mimeType", "format"})
_FILE_ID_FIELDS = frozenset({"file_id", "fileId"})

_CALL_IDS = ("call_id", "toolUseId", "id")
_RESULT_IDS = ("call_id", "tool_use_id", "tool_call_id", "toolUseId")
_ARGUMENTS = ("arguments", "input", "args", "parameters", "action", "operation", "queries", "code")
_RESULTS = ("output", "result", "content")
_TEXT_FIELDS = frozenset({"role", "content"})
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "tool_plan")

_SYSTEMS = ("system", "instructions", "systemInstruction", "system_instruction", "system_prompt", "preamble")
_TURN_FIELDS = ("messages", "contents", "input", "chat_history")
_PROMPT_FIELDS = (
    "input", "prompt", "inputs", "query", "inputText", "text", "texts", "contents", "content",
    "instances", "requests",
)  # fmt: skip
_BESIDE_PROMPT = ("image", "images", "audio", "video", "document")

_CHOICE_FIELDS = ("choices", "candidates", "generations", "results", "outputs", "completions")
_ANSWER_FIELDS = (
    "content",
    "parts",
    "message",
    "text",
    "output_text",
    "generated_text",
    "outputText",
    "generation",
    "completion",
    "response",
    "result",
)
_REASONS = ("finish_reason", "stop_reason", "finishReason", "stopReason", "done_reason", "completionReason")

_RUNNING = frozenset({"queued", "in_progress"})

PartReader = Callable[[object, int], list[Part]]


def read_part(part: object, depth: int = MAX_DEPTH) -> list[Part]:
    """Return the parts that a member of a message's content is, by its type or by the one field that it has."""
    if isinstance(part, str):
        return [Text(part)] if part else []
    if isinstance(part, list):
        return read_parts(part, read_part, depth - 1)
    if not isinstance(part, dict) or depth <= 0:
        return [OtherPart(_JSON_TYPES.get(type(part), "object"))]
    kind = text_in(part, "type")
    return _read_untyped_part(part, depth) if kind is None else _read_typed_part(kind, part, depth)


def read_parts(content: object, read: PartReader = read_part, depth: int = MAX_DEPTH) -> list[Part]:
    """Return the parts of a content: a text, a list of members, or one member."""
    if content is None or depth <= 0:
        return []
    parts: list[Part] = []
    for member in content if isinstance(content, list) else [content]:
        for part in read(member, depth):
            # A prompt of thousands of token ids is one part.
            if not (isinstance(part, OtherPart) and parts and parts[-1] == part):
                parts.append(part)
    return parts


def _read_typed_part(kind: str, part: JsonObject, depth: int) -> list[Part]:
    if kind in _TEXT_TYPES and isinstance(part.get("text"), str):
        return [Text(part["text"])] if part["text"] else []
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return [Refusal(part["refusal"])]
    if kind in _REASONING_TYPES:
        return _read_reasoning(part)
    if kind == "document" and isinstance(part.get("document"), dict):
        # Cohere's documents are text, or fields of text.
        return [Text(json_text(part["document"].get("data", part["document"])))]
    if kind in _MEDIA_TYPES:
        return [read_media(_MEDIA_TYPES[kind], part)]
    if kind == "logs" and isinstance(part.get("logs"), str):
        return [Text(part["logs"])]
    is_result = kind.endswith(("_output", "_result")) and first_value(part, _RESULT_IDS) is not None
    # A local shell's result has the id of the call in a field of another name.
    if is_result or kind.endswith("_call_output"):
        return [_read_result_part(part, depth)]
    if kind.endswith(("_call", "_use")):
        return _read_call_part(kind, part, depth)
    return [OtherPart(kind)]


def _read_untyped_part(part: JsonObject, depth: int) -> list[Part]:
    text = part.get("text")
    if isinstance(text, str):
        return [Reasoning(text) if part.get("thought") is True else Text(text)] if text else []
    if inner := part.get("content", part.get("parts")):
        return read_parts(inner, read_part, depth - 1)
    for modality in _MODALITIES:
        if modality in part:
            # A video may be a list of its frames.
            members = part[modality] if isinstance(part[modality], list) else [part[modality]]
            return [read_media(modality, member) for member in members]
    return [OtherPart(next(iter(part)))] if part else []


def _read_reasoning(part: JsonObject) -> list[Part]:
    texts: list[object] = []
    for name in ("thinking", "reasoning", "summary", "content", "text"):
        value = part.get(name)
        texts += [one.get("text") for one in objects_in(part, name)] if isinstance(value, list) else [value]
    return [Reasoning(text) for text in texts if isinstance(text, str) and text] or [Reasoning("")]


def _read_result_part(part: JsonObject, depth: int) -> ToolResult:
    call_id, result = first_value(part, (*_RESULT_IDS, "id")), first_value(part, _RESULTS)
    return read_tool_result(call_id, result, text_in(part, "name"), depth=depth)


def _read_call_part(kind: str, part: JsonObject, depth: int) -> list[Part]:
    call_id = first_value(part, _CALL_IDS)
    name = part.get("name") or kind.removesuffix("_call").removesuffix("_use")
    called: list[Part] = [read_tool_call(call_id, name, first_value(part, _ARGUMENTS))]
    # Providers that run a tool themselves state call and result in one.
    results = first_value(part, ("output", "outputs", "results"))
    return called if results is None else [*called, read_tool_result(call_id, results, depth=depth)]


def read_tool_call(call_id: object, name: object, arguments: object) -> ToolCall:
    """Return a call; arguments that are no text yet become JSON."""
    text = "" if arguments is None else json_text(arguments)
    return ToolCall(_text_or_none(call_id), _text_or_none(name) or _UNKNOWN, text)


def read_tool_result(
    call_id: object,
    content: object,
    name: object = None,
    read: PartReader = read_part,
    depth: int = MAX_DEPTH,
) -> ToolResult:
    """Return a result; what is neither text nor media in it becomes JSON."""

    def read_member(member: object, depth: int) -> list[Part]:
        parts = read(member, depth)
        is_data = any(isinstance(part, OtherPart) for part in parts) and depth > 0
        return [Text(json_text(member))] if is_data else parts

    parts = read_parts(content, read_member, depth - 1)
    return ToolResult(_text_or_none(call_id), tuple(parts), _text_or_none(name))


def read_media(modality: str, value: object) -> Media:
    """Return an image or the like, however deeply its URL, id, content and type are wrapped."""
    media_type = uri = file_id = size_bytes = None
    for key, text in _text_fields(value, MAX_DEPTH):
        if key in _TYPE_FIELDS:
            kind = modality if modality in ("image", "audio", "video") else "application"
            media_type = text if "/" in text else f"{kind}/{text}"
        elif key in _FILE_ID_FIELDS:
            file_id = text
        elif key in _DATA_FIELDS and text.startswith("data:"):
            head, _, data = text.partition(",")
            media_type = head[len("data:") :].partition(";")[0] or media_type
            size_bytes = _decoded_size(data)
        elif key in _DATA_FIELDS and len(text) <= _MAX_URI and _URI.match(text):
            uri = text
        elif key in _DATA_FIELDS:
            size_bytes = _decoded_size(text)
    return Media(modality, media_type, uri, file_id, size_bytes)


def _text_fields(value: object, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield "data", value
    elif isinstance(value, dict) and depth:
        for key, member in value.items():
            if isinstance(member, str):
                yield key, member
            elif isinstance(member, dict):
                yield from _text_fields(member, depth - 1)


def _decoded_size(base64: str) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=")


def read_role(message: JsonObject, otherwise: str = "user") -> str:
    """Return the role of a message by its usual name."""
    role = (text_in(message, "role") or otherwise).lower()
    return _ROLES.get(role, role)


def read_message(
    message: JsonObject, read: PartReader = read_part, role: str = "user", finish_reason: str | None = None
) -> Message:
    """Return one turn, or what a choice says.

    Args:
        role: where the message names none.
    """
    role = read_role(message, role)
    content = message.get("content")
    is_text = read is read_part and isinstance(content, str) and content and role != "tool"
    # Nearly all are one text, and exports read millions of them.
    if is_text and not any(message[name] for name in message if name not in _TEXT_FIELDS):
        return Message(role, (Text(message["content"]),), finish_reason)
    called = object_in(message, "function_call")
    thoughts = [text_of(message.get(name)) for name in _REASONING_FIELDS]
    # OpenRouter's, which it states beside `reasoning` or alone.
    details = [
        text_of(each.get("text", each.get("summary"))) for each in objects_in(message, "reasoning_details")
    ]
    thoughts.append("".join(filter(None, details)))
    # Some servers state the same under two names; Baidu's thoughts are about the call.
    thought = next(filter(None, [*thoughts, text_of(called.get("thoughts"))]), None)
    parts: list[Part] = [] if thought is None else [Reasoning(thought)]
    parts += read_parts(_first_content(message), read)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        parts.append(Refusal(refusal))
    if spoken := object_in(message, "audio"):
        parts += [read_media("audio", spoken), *read_parts(spoken.get("transcript"))]
    parts += [part for image in _list_in(message, "images") for part in _read_media_part("image", image)]
    parts += [_read_call(call) for call in objects_in(message, "tool_calls")]
    if called:
        parts.append(_read_call(called))
    parts += map(_read_named_result, objects_in(message, "tool_results"))
    if role == "tool" and not any(isinstance(part, ToolResult) for part in parts):
        name = text_in(message, "name") or text_in(message, "tool_name")
        parts = [ToolResult(text_in(message, "tool_call_id"), tuple(parts), name)]
    return Message(role, tuple(parts), finish_reason)


def _first_content(message: JsonObject) -> object:
    found = (message.get(name) for name in _ANSWER_FIELDS)
    return next((value for value in found if value and isinstance(value, str | list | dict)), None)


def _read_media_part(modality: str, value: object) -> list[Part]:
    is_typed = isinstance(value, dict) and "type" in value
    return read_part(value) if is_typed else [read_media(modality, value)]


def _read_call(call: JsonObject) -> ToolCall:
    called = object_in(call, "function") or object_in(call, "custom") or call
    return read_tool_call(call.get("id"), called.get("name"), first_value(called, _ARGUMENTS))


def _read_named_result(result: JsonObject) -> ToolResult:
    """A result at Cohere's first version, which repeats the call in place of an id."""
    content = json_text(result.get("outputs"))
    return ToolResult(None, (Text(content),), text_in(object_in(result, "call"), "name"))


def read_input(request: JsonObject, read: PartReader = read_part) -> Iterator[Message]:
    """Yield the messages of a request: instructions, then its turns or its prompt."""
    wrapped = object_in(request, "input")
    source = wrapped if wrapped and "type" not in wrapped else request
    for name in _SYSTEMS:
        if name not in source:
            continue
        content = object_in(source, name).get("parts", source.get(name))
        if parts := read_parts(content, read):
            yield Message("system", tuple(parts))
    turns = next(
        (found for name in _TURN_FIELDS if name in source and (found := _turns_in(source, name))), []
    )
    yield from (read_item(turn, read) for turn in turns)
    if prompt := _read_prompt(source, read, is_alone=not turns):
        yield Message("user", tuple(prompt))
    if results := objects_in(source, "tool_results"):
        yield Message("tool", tuple(map(_read_named_result, results)))


def _turns_in(source: JsonObject, name: str) -> list[JsonObject]:
    """The turns that a list holds; none where it is the content of one."""
    members = objects_in(source, name)
    return [] if all(map(_is_content, members)) else members


def _is_content(member: JsonObject) -> bool:
    if "role" in member or "parts" in member:
        return False
    kind = text_in(member, "type")
    return kind is None or kind in _CONTENT_TYPES


def _read_prompt(source: JsonObject, read: PartReader, *, is_alone: bool) -> list[Part]:
    if isinstance(source.get("message"), str):
        return read_parts(source["message"])
    if not is_alone:
        return []
    prompts = (read_parts(source[name], read) for name in _PROMPT_FIELDS if name in source)
    prompt = next((parts for parts in prompts if parts), [])
    for name in _BESIDE_PROMPT:
        modality = name.removesuffix("s")
        prompt += [part for member in _list_in(source, name) for part in _read_media_part(modality, member)]
    # Rerankers are given what they are to put in order.
    return [*prompt, OtherPart("documents")] if source.get("documents") else prompt


def read_item(item: JsonObject, read: PartReader = read_part) -> Message:
    """Return a turn of a list in which calls, results and thoughts stand beside messages."""
    kind = text_in(item, "type")
    if kind is None or kind in _ITEM_ROLES or {"role", "content"} <= item.keys():
        return read_message(item, read, _ITEM_ROLES.get(kind or "", "user"))
    parts = read_parts(item, read)
    is_result = bool(parts) and isinstance(parts[0], ToolResult)
    return Message(read_role(item, "tool" if is_result else "assistant"), tuple(parts))


def read_output(answer: JsonObject, read: PartReader = read_part) -> Iterator[Message]:
    """Yield what each choice of an answer says."""
    if items := objects_in(answer, "output") or objects_in(answer, "steps"):
        status = text_in(answer, "status")
        parts = [part for item in items for part in read_item(item, read).parts]
        yield Message("assistant", tuple(parts), None if status in _RUNNING else status)
        return
    source = object_in(answer, "output") or answer
    named = (name for name in _CHOICE_FIELDS if name in source)
    choices = next((found for name in named if (found := objects_in(source, name))), [source])
    for choice in choices:
        said = object_in(choice, "message") or object_in(choice, "content") or object_in(choice, "data")
        reason = (
            _finish_reason(choice) or _finish_reason(object_in(choice, "details")) or _finish_reason(answer)
        )
        # A text called `message` is an error's.
        spoken = said or {name: value for name, value in choice.items() if name != "message"}
        message = read_message(spoken, read, "assistant", reason)
        if message.parts or reason:
            yield message


def _finish_reason(place: JsonObject) -> str | None:
    for name in _REASONS:
        # Alibaba's spelling of none.
        if name in place and (text := text_in(place, name)) and text != "null":
            return text
    return None


_TOOL_FIELDS = frozenset({"tools", "functions", "toolConfig", "parameters"})


def read_tools(request: JsonObject) -> Iterator[Tool]:
    """Yield the tools that a request declares."""
    if _TOOL_FIELDS.isdisjoint(request):
        return
    holders = (request, object_in(request, "toolConfig"), object_in(request, "parameters"))
    places = ((holder, name) for holder in holders for name in ("tools", "functions"))
    for declared in (tool for place in places for tool in objects_in(*place)):
        functions = objects_in(declared, "functionDeclarations") or objects_in(
            declared, "function_declarations"
        )
        names = ("function", "toolSpec", "custom", "systemTool")
        wrapped = next((found for name in names if (found := object_in(declared, name))), {})
        yield from map(_read_tool, functions or [wrapped or declared])


def _read_tool(declared: JsonObject) -> Tool:
    schema = first_value(
        declared,
        ("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameter_definitions"),
    )
    schema = object_in(schema, "json") or schema if isinstance(schema, dict) else schema
    name = text_in(declared, "name") or text_in(declared, "type") or next(iter(declared), _UNKNOWN)
    description = declared.get("description")
    return Tool(name, _text_or_none(description), None if schema is None else json_text(schema))


def json_text(value: object) -> str:
    """Return a value as JSON, and a text as it is; empty where the value nests too deeply to be written."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""


def first_value(source: JsonObject, names: Iterable[str]) -> object:
    """Return the first of these fields that is not null."""
    return next((source[name] for name in names if source.get(name) is not None), None)


def _list_in(source: JsonObject, name: str) -> list[object]:
    value = source.get(name)
    return value if isinstance(value, list) else [value] if value and isinstance(value, str | dict) else []


def text_of(value: object) -> str:
    """Return a text; empty for anything else."""
    return value if isinstance(value, str) else ""


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
