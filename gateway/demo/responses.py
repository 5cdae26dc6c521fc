"""OpenAI's Responses: one message of text or one call of a function as output, whole or as events.

Source: platform.openai.com/docs/api-reference, pages "Responses" and "Streaming events".
"""

import time
from collections.abc import Iterator

from gateway.demo import replies, tools
from gateway.demo.replies import Body, Reply, make_id, read_list, read_object, read_text
from gateway.demo.tools import AUTO, Tool


def answer_response(body: Body) -> Body:
    """Answer `POST /v1/responses`."""
    draft, (reply, tool) = _draft_response(body), _reply(body)
    return _finish_response(draft, _output_item(reply, tool), _usage(body, reply))


def stream_response(body: Body) -> Iterator[bytes]:
    """Answer `POST /v1/responses` as numbered events."""
    draft, (reply, tool) = _draft_response(body), _reply(body)
    item = _output_item(reply, tool)
    events = _events(draft, reply, item, _usage(body, reply))
    return (
        replies.encode_event({**event, "sequence_number": number}, str(event["type"]))
        for number, event in enumerate(events)
    )


def _events(draft: Body, reply: Reply, item: Body, usage: Body) -> Iterator[Body]:
    in_item: Body = {"output_index": 0}
    yield {"type": "response.created", "response": draft}
    yield {"type": "response.in_progress", "response": draft}
    is_call = item["type"] == "function_call"
    opened = {**item, "status": "in_progress", **({"arguments": ""} if is_call else {"content": []})}
    yield {"type": "response.output_item.added", **in_item, "item": opened}
    yield from _argument_events(reply, item) if is_call else _text_events(reply, item)
    yield {"type": "response.output_item.done", **in_item, "item": item}
    finished = _finish_response(draft, item, usage)
    yield {"type": f"response.{finished['status']}", "response": finished}


def _text_events(reply: Reply, item: Body) -> Iterator[Body]:
    in_text: Body = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.content_part.added", **in_text, "part": _text_content("")}
    for piece in reply.pieces:
        yield {"type": "response.output_text.delta", **in_text, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **in_text, "text": reply.text, "logprobs": []}
    yield {"type": "response.content_part.done", **in_text, "part": _text_content(reply.text)}


def _argument_events(reply: Reply, item: Body) -> Iterator[Body]:
    in_call: Body = {"item_id": item["id"], "output_index": 0}
    for piece in reply.pieces:
        yield {"type": "response.function_call_arguments.delta", **in_call, "delta": piece}
    done = {"arguments": reply.text, "name": item["name"]}
    yield {"type": "response.function_call_arguments.done", **in_call, **done}


def _reply(body: Body) -> tuple[Reply, Tool | None]:
    given = body.get("input")
    items = [] if isinstance(given, str) else read_list(body, "input")
    question = given if isinstance(given, str) else replies.last_question(items)
    limit = replies.read_count(body, "max_output_tokens", replies.MAX_TOKENS, replies.MAX_TOKENS)
    tool = tools.choose_tool(_tools(body), _tool_choice(body), question, has_result=_ends_with_result(items))
    if tool is not None:
        return replies.reply_with(tools.arguments_for(tool), limit), tool
    wanted = read_object(read_object(body, "text"), "format")
    return tools.structured_reply(wanted.get("type"), wanted.get("schema"), question, limit), None


def _tools(body: Body) -> list[Tool]:
    # Tools that the provider runs have another type.
    given = [tool for tool in replies.read_objects(body, "tools") if tool.get("type") == "function"]
    return [Tool(read_text(tool, "name"), tool.get("parameters")) for tool in given]


def _tool_choice(body: Body) -> str:
    choice = body.get("tool_choice") or AUTO
    if isinstance(choice, str):
        return choice
    return read_text(read_object(body, "tool_choice"), "name")


def _ends_with_result(items: list[object]) -> bool:
    last = items[-1] if items else None
    return isinstance(last, dict) and last.get("type") == "function_call_output"


def _draft_response(body: Body) -> Body:
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
        "text": {"format": {"type": "text"}, **read_object(body, "text")},
        "tool_choice": body.get("tool_choice") or AUTO,
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
    }


def _finish_response(draft: Body, item: Body, usage: Body) -> Body:
    is_truncated = item["status"] == "incomplete"
    why = {"reason": "max_output_tokens"} if is_truncated else None
    return {**draft, "status": item["status"], "incomplete_details": why, "output": [item], "usage": usage}


def _output_item(reply: Reply, tool: Tool | None) -> Body:
    status = "incomplete" if reply.is_truncated else "completed"
    if tool is None:
        content = [_text_content(reply.text)]
        shape = {"id": make_id("msg_"), "type": "message", "role": "assistant", "content": content}
    else:
        call = {"call_id": make_id("call_"), "name": tool.name, "arguments": reply.text}
        shape = {"id": make_id("fc_"), "type": "function_call", **call}
    return {**shape, "status": status}


def _text_content(text: str) -> Body:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(body: Body, reply: Reply) -> Body:
    input_tokens = sum(map(replies.count_tokens, (body["input"], body.get("instructions"))))
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + reply.tokens,
    }
