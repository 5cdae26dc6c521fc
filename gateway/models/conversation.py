"""Conversation: what a request asks and what its answer says, in one form for every provider."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Names follow OpenTelemetry's semantic conventions for generative AI, which have none for refusals.


@dataclass(frozen=True, slots=True)
class Text:
    content: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    # Empty where the provider hides it.
    content: str


@dataclass(frozen=True, slots=True)
class Refusal:
    content: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image or the like: where it lies, or how long its content in the message is.

    Args:
        modality: `image`, `audio`, `video`, `document` or `file`.
    """

    modality: str
    media_type: str | None = None
    uri: str | None = None
    file_id: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that a model calls; not every provider's calls have ids."""

    id: str | None
    name: str
    # JSON text, cut where the stream was.
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a called tool returned: text, media, or JSON as text."""

    id: str | None
    content: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OtherPart:
    """A part of any other type."""

    type: str


Part = Text | Reasoning | Refusal | Media | ToolCall | ToolResult | OtherPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn, or one choice of an answer.

    Args:
        role: `system`, `user`, `assistant` or `tool`; another one as the provider spells it.
        finish_reason: as the provider spells it.
    """

    role: str
    parts: tuple[Part, ...]
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        return " ".join(part.content for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call."""

    # Of a tool of the provider's own, its type.
    name: str
    description: str | None = None
    # A JSON schema, as text.
    parameters: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages of a request, those of its answer (one for each choice), and declared tools."""

    input: tuple[Message, ...] = ()
    output: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()

    @property
    def question(self) -> str:
        """The last text of a user; empty where there is none."""
        return _first_text(message for message in reversed(self.input) if message.role == "user")

    @property
    def answer(self) -> str:
        """The text of the first choice that has one, else a refusal; empty where there is neither."""
        refusals = (part.content for each in self.output for part in each.parts if isinstance(part, Refusal))
        return _first_text(self.output) or next(refusals, "")


def _first_text(messages: Iterable[Message]) -> str:
    return next((text for message in messages if (text := message.text)), "")
