"""The texts that guardrails check in a request or an answer, and edits of them."""

from collections.abc import Callable

from gateway.models.conversation import Message, Part, Text, ToolResult
from gateway.models.exchange import RawHeaders
from gateway.wire.endpoints import ENDPOINTS, format_of
from gateway.wire.formats import WireMessage
from gateway.wire.json_fields import JsonObject, parse_object
from gateway.wire.json_members import edit_members

# Of their requests the last message counts; of others, such as embeddings, all texts.
_CHATS = frozenset(each.name for each in ENDPOINTS if each.operation in ("chat", "generate_content"))

# Where formats have the turns or the prompt of a request, and the choices of an answer.
_INPUTS = ("messages", "contents", "input", "prompt", "inputs", "message", "inputText")
_OUTPUTS = (
    "choices", "candidates", "content", "output", "outputs", "message", "text", "response", "results",
    "generations", "generated_text", "generation", "completion",
)  # fmt: skip
# Where a message has its text.
_CONTENTS = frozenset(
    {"message", "messages", "content", "parts", "text", "output", "choices", "outputText", "generated_text"}
)

EditText = Callable[[str], str]


def read_input_texts(endpoint: str, path: str, body: bytes) -> tuple[str, ...]:
    """Return the text of the last message of a request, empty where it has none; of other calls all texts."""
    request, nothing = WireMessage(path, (), body), WireMessage(path, (), b"")
    messages = format_of(endpoint, "", b"").conversation(request, nothing).input
    if endpoint in _CHATS:
        return (_text_of(messages[-1]),) if messages else ("",)
    return tuple(text for message in messages if (text := _text_of(message)))


def read_output_texts(endpoint: str, path: str, headers: RawHeaders, body: bytes) -> tuple[str, ...]:
    """Return the text of each choice of a decoded answer; one that only calls tools, say, has none."""
    answer = WireMessage(path, headers, body)
    found = format_of(endpoint, answer.content_type, body).conversation(WireMessage(path, (), b""), answer)
    if not found.output and endpoint in _CHATS:
        return ("",)
    return tuple(text for message in found.output if (text := _text_of(message)) or _is_empty(message.parts))


def edit_input(endpoint: str, body: bytes, edit: EditText) -> bytes | None:
    """Return a request with the texts edited that `read_input_texts` reads; None where they are not found."""
    request = parse_object(body) or {}
    for name in _INPUTS:
        value = request.get(name)
        if not value or not isinstance(value, str | list | dict):
            continue
        editor = _Editor(edit)
        if isinstance(value, list) and endpoint in _CHATS and isinstance(value[-1], dict):
            edited: object = [*value[:-1], editor.edit(value[-1])]
        else:
            edited = editor.edit(value)
        return edit_members(body, overrides={name: edited}) if editor.has_found else None
    return None


def edit_output(body: bytes, edit: EditText) -> bytes | None:
    """Return an answer with its texts edited; None where none is found."""
    answer = parse_object(body) or {}
    editor = _Editor(edit)
    edited = {name: editor.edit(answer[name]) for name in _OUTPUTS if name in answer}
    return edit_members(body, overrides=edited) if editor.has_found else None


def add_prefix(
    body: bytes, prefix: str, role: str, *, is_typed: bool, adds_to_existing: bool
) -> bytes | None:
    """Return a request of messages with a prefix before the first one of a role, which is made where it is missing.

    Args:
        is_typed: whether new contents are a list of parts.
        adds_to_existing: whether it goes into that message instead of one before it.
    """
    messages = (parse_object(body) or {}).get("messages")
    if not isinstance(messages, list):
        return None
    own: JsonObject = {"role": role, "content": [{"type": "text", "text": prefix}] if is_typed else prefix}
    roles = [each.get("role") if isinstance(each, dict) else None for each in messages]
    if role not in roles:
        edited = [own, *messages] if role == "system" else [*messages, own]
    elif not adds_to_existing:
        at = roles.index(role)
        edited = [*messages[:at], own, *messages[at:]]
    else:
        at = roles.index(role)
        edited = [*messages[:at], _prefixed(messages[at], prefix), *messages[at + 1 :]]
    return edit_members(body, overrides={"messages": edited})


def is_empty_message(body: bytes, role: str) -> bool:
    """Tell whether a request has no message of a role, or an empty one first."""
    messages = (parse_object(body) or {}).get("messages")
    of_role = [
        each
        for each in (messages if isinstance(messages, list) else ())
        if isinstance(each, dict) and each.get("role") == role
    ]
    content = of_role[0].get("content") if of_role else None
    return not (content.strip() if isinstance(content, str) else content)


def _prefixed(message: JsonObject, prefix: str) -> JsonObject:
    content = message.get("content")
    if isinstance(content, list):
        return {**message, "content": [{"type": "text", "text": prefix}, *content]}
    return {**message, "content": f"{prefix}{content or ''}"}


def _text_of(message: Message) -> str:
    return "\n".join(_texts_of(message.parts))


def _texts_of(parts: tuple[Part, ...]) -> list[str]:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.content)
        elif isinstance(part, ToolResult):
            texts += _texts_of(part.content)
    return texts


def _is_empty(parts: tuple[Part, ...]) -> bool:
    return all(isinstance(part, Text) for part in parts)


class _Editor:
    """Edits the texts of messages, and nothing else in them."""

    def __init__(self, edit: EditText) -> None:
        self._edit = edit
        self.has_found = False

    def edit(self, value: object) -> object:
        if isinstance(value, str):
            self.has_found = True
            return self._edit(value)
        if isinstance(value, list):
            return [self.edit(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {
            name: self.edit(each) if name in _CONTENTS and isinstance(each, str | list | dict) else each
            for name, each in value.items()
        }
