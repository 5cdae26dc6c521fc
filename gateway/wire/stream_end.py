"""Whether a stream says of itself that it is over."""

from __future__ import annotations

from gateway.wire.sse import read_stream

LAST_EVENTS = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})
"""Events after which Anthropic's messages and OpenAI's responses have no more."""

LAST_DATA = b"[DONE]"
"""What OpenAI's chat and completions send last."""

TAIL_BYTES = 256 * 1024
"""How far from its end a stream is looked at: room for a last event that repeats the whole answer."""


def is_ended(body: bytes) -> bool:
    """Tell whether the events of a stream, as far as it has come, include its last one, and that whole."""
    events = read_stream(body[-TAIL_BYTES:]).events
    return bool(events) and (events[-1][1] == LAST_DATA or events[-1][0] in LAST_EVENTS)
