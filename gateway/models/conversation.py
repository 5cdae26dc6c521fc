"""Conversation: what a request asks and what its answer says, in one form for every provider."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Names follow OpenTelemetry's semantic conventions for generative AI, which have none for refusals.


@dataclass(frozen=True, slots=True)
class Text:
    """Text for the other side to read."""

    content: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thinks before it answers; empty where the provider hides it."""

    content: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a model says in place of an answer."""

    content: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image, sound, video or file, without its content.

    Args:
        modality: `image`, `audio`, `video`, `document` or `file`.
        uri: where it lies, if the message says so; never a `data:` URL.
        file_id: the provider's id of it, where it was uploaded before.
        size_bytes: length of content that the message itself holds.
    """

    modality: str
    media_type: str | None = None
    uri: str | None = None
    file_id: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that a model calls.

    Args:
        id: None where the provider's calls have none.
        arguments: as JSON text, or what had arrived of it.
    """

    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a called tool returned.

    Args:
        id: of the call.
        content: results that are no text or media are JSON text.
        name: of the tool, where the provider repeats it.
    """

    id: str | None
    content: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OtherPart:
    """A part of a type that has no form here."""

    type: str


Part = Text | Reasoning | Refusal | Media | ToolCall | ToolResult | OtherPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn, or one choice of an answer.

    Args:
        role: `system`, `user`, `assistant` or `tool`; another one as the provider spells it.
        finish_reason: why a choice ended, as the provider spells it.
    """

    role: str
    parts: tuple[Part, ...]
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The texts in one."""
        return " ".join(part.content for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call.

    Args:
        name: of the function, or the type of a tool that the provider has itself.
        parameters: their JSON schema, as text.
    """

    name: str
    description: str | None = None
    parameters: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of a request, those of its answer (one for each choice), and the declared tools."""

    input: tuple[Message, ...] = ()
    output: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()

    @property
    def question(self) -> str:
        """The last text of a user; empty where there is none."""
        return _first_text(message for message in reversed(self.input) if message.role == "user")

    @property
    def answer(self) -> str:
        """The text of the first choice that has one, else its refusal; empty where there is neither."""
        refusals = (
            part.content for message in self.output for part in message.parts if isinstance(part, Refusal)
        )
        return _first_text(self.output) or next(refusals, "")


def _first_text(messages: Iterable[Message]) -> str:
    return next((text for message in messages if (text := message.text)), "")
