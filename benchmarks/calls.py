"""The requests that everybody is loaded with."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Literal

from benchmarks.load import NUMBER

Kind = Literal["json", "sse", "feedback"]

_CONTEXT = (
    "France is a republic in western Europe whose seat of government has been Paris for most of its history. "
    "Versailles took that place from 1682 until the revolution, Bordeaux for some weeks of 1870 and 1914, and "
    "Vichy during the occupation, yet none of these was ever called the capital by statute. The city lies on a "
    "bend of the Seine, about 375 km above the river's mouth, and grew from a settlement on an island. Today the "
    "municipality counts a little over two million inhabitants in twenty districts numbered in a spiral from the "
    "Louvre outwards, while its region holds nearly a fifth of the nation. Lyon and Marseille, next in size, have "
    "less than half of that weight in trade, transport and administration, though both challenge it in trade "
    "fairs, football and cooking. Say only what this text supports, in one sentence, and name no sources."
)
"""Prose that does not repeat itself: it compresses as prose does."""


def _chat(context: str, **more: object) -> bytes:
    messages = [
        {"role": "system", "content": f"Answer from this: {context}"},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    chat = {"model": "gpt-4o-mini", "temperature": 0.2, "messages": messages, **more}
    return json.dumps(chat, separators=(",", ":")).encode()


CHAT = _chat(_CONTEXT)
STREAMED_CHAT = _chat(_CONTEXT, stream=True, stream_options={"include_usage": True})


def chat_of(size: int) -> bytes:
    """Return a chat whose body has about so many bytes, with a text as long as that takes; the same every time."""
    dice = random.Random(size)
    vocabulary = _CONTEXT.split()
    words = dice.choices(vocabulary, k=size // 4)
    frame = len(_chat(""))
    return _chat(" ".join(words)[: size - frame])


def request_of(kind: Kind, run: str, headers: Sequence[str]) -> bytes:
    """Return a request of a kind; for feedback, the run is the one whose requests it is about."""
    match kind:
        case "json":
            return chat_request(CHAT, run, headers)
        case "sse":
            return chat_request(STREAMED_CHAT, run, headers)
        case "feedback":
            return vote_request(run, headers)


def chat_request(chat: bytes, run: str, headers: Sequence[str]) -> bytes:
    """Return a request for an answer to a chat, with a trace id of its own each time it is sent.

    Args:
        run: part of the trace id, so that no two runs share one.
        headers: what the one who serves it wants besides.
    """
    traced = (
        f"x-portkey-trace-id: {run}-{NUMBER.decode()}",
        'x-portkey-metadata: {"_user":"user-7","_environment":"benchmark"}',
    )
    return post("/v1/chat/completions", chat, (*traced, *headers))


def vote_request(run: str, headers: Sequence[str]) -> bytes:
    """Return a vote on a request of a run: the one with the same number."""
    vote = {"trace_id": f"{run}-{NUMBER.decode()}", "value": 5}
    return post("/v1/feedback", json.dumps(vote, separators=(",", ":")).encode(), headers)


def post(path: str, body: bytes, headers: Sequence[str]) -> bytes:
    """Return a request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join((*head, "", "")).encode() + body
