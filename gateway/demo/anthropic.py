"""Anthropic's Messages: one block of text, whole or as events.

Source: docs.anthropic.com, pages "Messages", "Streaming Messages" and "Errors".
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.demo.bodies import Body, encode_event, make_id, read_count, read_list, read_text
from gateway.demo.replies import MOST_TOKENS, Reply, count_tokens, last_question, reply_to, text_of
from gateway.errors import BadInput, GatewayError, NotFound


def draw_error(error: GatewayError) -> Body:
    """Draw an error as Anthropic does."""
    kind = "not_found_error" if isinstance(error, NotFound) else "invalid_request_error"
    return {"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": make_id("req_")}


def answer_message(body: Body) -> Body:
    """Answer `POST /v1/messages`."""
    reply = _reply(body)
    content = [{"type": "text", "text": reply.text}]
    return {**_opened(body), "content": content, **_ending(reply), "usage": _usage(body, reply.tokens)}


def stream_message(body: Body) -> Iterator[bytes]:
    """Answer `POST /v1/messages` as events."""
    reply = _reply(body)
    return (encode_event(event, str(event["type"])) for event in _events(_opened(body), reply))


def _events(opened: Body, reply: Reply) -> Iterator[Body]:
    yield {"type": "message_start", "message": opened}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    for piece in reply.pieces:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": _ending(reply), "usage": {"output_tokens": reply.tokens}}
    yield {"type": "message_stop"}


def _reply(body: Body) -> Reply:
    messages = read_list(body, "messages")
    if body.get("max_tokens") is None:
        raise BadInput("Field required", field="max_tokens")
    return reply_to(last_question(messages), read_count(body, "max_tokens", MOST_TOKENS, MOST_TOKENS))


def _opened(body: Body) -> Body:
    """Return the message as it is before its first word, of which one token is counted already."""
    return {
        "id": make_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": read_text(body, "model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(body, 1),
    }


def _ending(reply: Reply) -> Body:
    return {"stop_reason": "max_tokens" if reply.is_cut else "end_turn", "stop_sequence": None}


def _usage(body: Body, output_tokens: int) -> Body:
    return {
        "input_tokens": count_tokens(text_of(body.get("system"))) + count_tokens(text_of(body["messages"])),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
