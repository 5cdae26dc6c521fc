"""What was asked and what was answered, as text to skim: whatever the format, wherever it keeps such text."""

from __future__ import annotations

import orjson

from gateway.wire.fields import JsonObject, object_in, objects_in, parse_object
from gateway.wire.json_text import loads

_TURNS = ("messages", "input", "contents")
"""Where requests have the turns of a conversation."""
_PROMPTS = ("input", "prompt", "inputs", "query", "message", "inputText", "text")
"""Where requests have one text, or several."""
_ANSWERS = (
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


def question_in(body: bytes) -> str:
    """Return the last text that a user says in a request's decoded body; empty where there is none."""
    request = parse_object(body)
    if request is None:
        return ""
    for name in _TURNS:
        turns = [turn for turn in objects_in(request, name) if turn.get("role", "user") == "user"]
        for turn in reversed(turns):
            if text := _text_in(turn.get("content", turn.get("parts"))):
                return text
    return _prompt_in(object_in(request, "input") or request)


def answer_in(answer: object) -> str:
    """Return the text of an answer that is no stream, or of one put together; empty where there is none."""
    if isinstance(answer, bytes):
        try:
            answer = loads(answer)
        except orjson.JSONDecodeError:
            return ""
    return _answer_in(answer, _MAX_DEPTH)


def _prompt_in(request: JsonObject) -> str:
    return next((text for name in _PROMPTS if (text := _text_in(request.get(name)))), "")


def _answer_in(answer: object, depth: int) -> str:
    if isinstance(answer, list):
        return next((text for part in answer if (text := _answer_in(part, depth))), "")
    if not isinstance(answer, dict) or not depth:
        return ""
    # In output items of other kinds, such as a chain of thought, there is text that nobody was told.
    if answer.get("type", "message") in ("reasoning", "thinking"):
        return ""
    if parts := object_in(answer, "content").get("parts"):
        return _text_in(parts)
    for name in _ANSWERS:
        if text := _text_in(answer.get(name)):
            return text
    for name in ("choices", "message", "candidates", "output", "results", "data", "generations"):
        if text := _answer_in(answer.get(name), depth - 1):
            return text
    return ""


def _text_in(content: object) -> str:
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
