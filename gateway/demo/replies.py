"""What the demo says: a friendly reply that depends on the question alone, counted in words."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass

MOST_TOKENS = 1_000_000
"""Largest limit on a reply's length that a request may give."""

_ECHOED_WORDS = 20
_PIECE = re.compile(r"\s*\S+")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in pieces of one word, each counted as a token; `is_cut` if the caller's limit ended it."""

    pieces: tuple[str, ...]
    is_cut: bool

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        return len(self.pieces)


def reply_to(question: str, limit: int = MOST_TOKENS) -> Reply:
    """Reply to a question in at most `limit` tokens, repeating its last words."""
    words = question.split()
    if words:
        last = ("… " if len(words) > _ECHOED_WORDS else "") + " ".join(words[-_ECHOED_WORDS:])
        heard = f"You said: “{last}”."
    else:
        heard = "You sent no words."
    return reply_with(
        f"Hello from the demo! {heard} Add a provider and a real model will answer here.", limit
    )


def reply_with(text: str, limit: int = MOST_TOKENS) -> Reply:
    """Reply with a text, in at most `limit` tokens."""
    pieces = _PIECE.findall(text)
    return Reply(tuple(pieces[:limit]), is_cut=len(pieces) > limit)


def count_tokens(text: str) -> int:
    """Count the words of a text, the demo's tokens."""
    return len(text.split())


def text_of(content: object) -> str:
    """Return the words in a message, a list of messages, a content, or a list of content parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(filter(None, map(text_of, content)))
    if isinstance(content, dict):
        return text_of(content["content"] if "content" in content else content.get("text"))
    return ""


def last_question(messages: list[object]) -> str:
    """Return the words of the last message that a user wrote; empty if there is none."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message)
    return ""


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1 that depends on the text alone. Equal texts are near, others are not."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    # Odd numbers, so that no vector is all zeros.
    numbers = [2 * number + 1 for number in struct.unpack(f"<{dimensions}h", raw)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]
