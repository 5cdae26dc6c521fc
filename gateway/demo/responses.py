"""OpenAI's Responses: one message of text as output, whole or as events.

Source: platform.openai.com/docs/api-reference, pages "Responses" and "Streaming events".
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from gateway.demo.bodies import Body, encode_event, make_id, read_count, read_list, read_text
from gateway.demo.replies import MOST_TOKENS, Reply, count_tokens, last_question, reply_to, text_of


def answer_response(body: Body) -> Body:
    """Answer `POST /v1/responses`."""
    draft, reply = _draft(body), _reply(body)
    return _finished(draft, _message(make_id("msg_"), reply), _usage(body, reply))


def stream_response(body: Body) -> Iterator[bytes]:
    """Answer `POST /v1/responses` as events, numbered in order."""
    draft, reply = _draft(body), _reply(body)
    events = _events(draft, reply, _usage(body, reply))
    return (
        encode_event({**event, "sequence_number": number}, str(event["type"]))
        for number, event in enumerate(events)
    )


def _events(draft: Body, reply: Reply, usage: Body) -> Iterator[Body]:
    item_id = make_id("msg_")
    message = _message(item_id, reply)
    in_item: Body = {"output_index": 0}
    in_text: Body = {"item_id": item_id, "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": draft}
    yield {"type": "response.in_progress", "response": draft}
    opened = {**message, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", **in_item, "item": opened}
    yield {"type": "response.content_part.added", **in_text, "part": _text("")}
    for piece in reply.pieces:
        yield {"type": "response.output_text.delta", **in_text, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **in_text, "text": reply.text, "logprobs": []}
    yield {"type": "response.content_part.done", **in_text, "part": _text(reply.text)}
    yield {"type": "response.output_item.done", **in_item, "item": message}
    finished = _finished(draft, message, usage)
    yield {"type": f"response.{finished['status']}", "response": finished}


def _reply(body: Body) -> Reply:
    given = body.get("input")
    question = given if isinstance(given, str) else last_question(read_list(body, "input"))
    return reply_to(question, read_count(body, "max_output_tokens", MOST_TOKENS, MOST_TOKENS))


def _draft(body: Body) -> Body:
    """Return the response as it is before its output."""
    return {
        "id": make_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": read_text(body, "model"),
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
    }


def _finished(draft: Body, message: Body, usage: Body) -> Body:
    is_cut = message["status"] == "incomplete"
    why = {"reason": "max_output_tokens"} if is_cut else None
    return {
        **draft,
        "status": message["status"],
        "incomplete_details": why,
        "output": [message],
        "usage": usage,
    }


def _message(item_id: str, reply: Reply) -> Body:
    return {
        "id": item_id,
        "type": "message",
        "status": "incomplete" if reply.is_cut else "completed",
        "role": "assistant",
        "content": [_text(reply.text)],
    }


def _text(text: str) -> Body:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(body: Body, reply: Reply) -> Body:
    asked = count_tokens(text_of(body["input"])) + count_tokens(text_of(body.get("instructions")))
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + reply.tokens,
    }
