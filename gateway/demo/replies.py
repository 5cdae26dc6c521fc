"""Read request bodies, and make the demo's replies; a word counts as a token."""

import hashlib
import json
import re
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import BadInput

Body = Mapping[str, object]

# The last event of OpenAI's chat and text completions.
STREAM_END = b"data: [DONE]\n\n"

# Largest token limit that a request may have.
MAX_TOKENS = 1_000_000

_ECHOED_WORDS = 20
_WORD = re.compile(r"\s*\S+")


def encode_event(data: Body, name: str | None = None) -> bytes:
    """Return a server-sent event (WHATWG HTML, section 9.2) with `data` as JSON."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def make_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)


# All of these raise BadInput for any other value.


def read_text(body: Body, field: str) -> str:
    """Return a non-empty string."""
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise BadInput("a non-empty string is required.", field=field)
    return value


def read_list(body: Body, field: str) -> list[object]:
    """Return a non-empty array."""
    value = body.get(field)
    if not isinstance(value, list) or not value:
        raise BadInput("a non-empty array is required.", field=field)
    return value


def read_object(body: Body, field: str) -> Body:
    """Return an object; an empty one where it is missing or null."""
    value = body.get(field)
    if not isinstance(value, dict | None):
        raise BadInput("an object is required.", field=field)
    return value or {}


def read_objects(body: Body, field: str) -> list[Body]:
    """Return an array of objects; an empty one where it is missing or null."""
    value = body.get(field)
    if not isinstance(value, list | None) or not all(isinstance(item, dict) for item in value or ()):
        raise BadInput("an array of objects is required.", field=field)
    return value or []


def read_count(body: Body, field: str, default: int, maximum: int) -> int:
    """Return an integer from 1 to `maximum`; `default` where it is missing or null."""
    value = body.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= maximum:
        raise BadInput(f"an integer from 1 to {maximum} is required.", field=field)
    return value


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in words; `is_truncated` if the token limit ended it."""

    pieces: tuple[str, ...]
    is_truncated: bool

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        return len(self.pieces)


def reply_to(question: str, limit: int = MAX_TOKENS) -> Reply:
    """Reply in at most `limit` tokens, repeating the last words of the question."""
    words = question.split()
    last = ("… " if len(words) > _ECHOED_WORDS else "") + " ".join(words[-_ECHOED_WORDS:])
    echo = f"You said: “{last}”." if words else "You sent no words."
    return reply_with(f"Hello from the demo! {echo} Add a provider and a real model will answer here.", limit)


def reply_with(text: str, limit: int = MAX_TOKENS) -> Reply:
    pieces = _WORD.findall(text)
    return Reply(tuple(pieces[:limit]), is_truncated=len(pieces) > limit)


def count_tokens(content: object) -> int:
    return len(text_of(content).split())


def text_of(content: object) -> str:
    """Return the text of a message, messages, a content or content parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(filter(None, map(text_of, content)))
    if isinstance(content, dict):
        return text_of(content["content"] if "content" in content else content.get("text"))
    return ""


def last_question(messages: list[object]) -> str:
    """Return the text of the last user message; empty if there is none."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message)
    return ""


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that depends on the text alone."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    # Odd numbers, so that no vector is all zeros.
    numbers = [2 * number + 1 for number in struct.unpack(f"<{dimensions}h", raw)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]
