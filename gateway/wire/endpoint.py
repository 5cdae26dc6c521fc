"""Which kind of call a path names."""

from __future__ import annotations

from gateway.wire.fields import objects_in

OTHER = "other"

_ANSWERS = {
    "chat.completion": "chat.completions",
    "text_completion": "completions",
    "response": "responses",
    "message": "messages",
    "embedding": "embeddings",
}
"""Kinds of call by what an answer calls itself, or the first of the list that it is."""


def endpoint_of(path: str) -> str:
    """Return the kind of call that `path` names, judged by its last segments; `other` if it is none of ours.

    Args:
        path: as the caller sent it, with or without a query, below any provider's name or base path.
    """
    parent, _, name = path.partition("?")[0].rstrip("/").rpartition("/")
    if name == "completions":
        return "chat.completions" if parent.endswith("/chat") else "completions"
    if name == "responses" or name == "embeddings":
        return name
    # Threads and stored completions have lists of messages too; those are a level deeper.
    if name == "messages" and (parent.endswith("/v1") or parent.rfind("/") == 0):
        return name
    return OTHER


def endpoint_of_answer(answer: object, path: str) -> str:
    """Return the kind of call that a JSON answer was given to, judged by what it calls itself, or by `path`
    where it does not say."""
    if not isinstance(answer, dict):
        return endpoint_of(path)
    name = answer.get("object", answer.get("type"))
    if name == "list":
        return endpoint_of_answer(next(iter(objects_in(answer, "data")), None), path)
    return _ANSWERS.get(str(name)) or endpoint_of(path)
