"""Anthropic's Messages: one block, of text or a call of a tool, whole or as events.

Source: docs.anthropic.com, pages "Messages", "Streaming Messages" and "Errors".
"""

import json
from collections.abc import Iterator

from gateway.demo import replies, tools
from gateway.demo.replies import Body, Reply, make_id, read_list, read_object, read_text
from gateway.demo.tools import AUTO, Tool
from gateway.errors import BadInput, GatewayError, NotFound


def render_error(error: GatewayError) -> Body:
    kind = "not_found_error" if isinstance(error, NotFound) else "invalid_request_error"
    return {"type": "error", "error": {"type": kind, "message": str(error)}, "request_id": make_id("req_")}


def answer_message(body: Body) -> Body:
    """Answer `POST /v1/messages`."""
    reply, tool = _reply(body)
    block = _content_block(tool)
    block = {**block, "text": reply.text} if tool is None else {**block, "input": _tool_input(reply)}
    usage = _usage(body, reply.tokens)
    return {**_opening_message(body), "content": [block], **_stop_fields(reply, tool), "usage": usage}


def stream_message(body: Body) -> Iterator[bytes]:
    """Answer `POST /v1/messages` as events."""
    reply, tool = _reply(body)
    events = _events(_opening_message(body), reply, tool)
    return (replies.encode_event(event, str(event["type"])) for event in events)


def answer_count(body: Body) -> Body:
    """Answer `POST /v1/messages/count_tokens`."""
    read_text(body, "model")
    read_list(body, "messages")
    return {"input_tokens": _usage(body, 0)["input_tokens"]}


def _events(opened: Body, reply: Reply, tool: Tool | None) -> Iterator[Body]:
    yield {"type": "message_start", "message": opened}
    yield {"type": "content_block_start", "index": 0, "content_block": _content_block(tool)}
    yield {"type": "ping"}
    kind, field = ("text_delta", "text") if tool is None else ("input_json_delta", "partial_json")
    for piece in reply.pieces:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": kind, field: piece}}
    yield {"type": "content_block_stop", "index": 0}
    usage = {"output_tokens": reply.tokens}
    yield {"type": "message_delta", "delta": _stop_fields(reply, tool), "usage": usage}
    yield {"type": "message_stop"}


def _reply(body: Body) -> tuple[Reply, Tool | None]:
    messages = read_list(body, "messages")
    if body.get("max_tokens") is None:
        raise BadInput("Field required", field="max_tokens")
    limit = replies.read_count(body, "max_tokens", replies.MAX_TOKENS, replies.MAX_TOKENS)
    question = replies.last_question(messages)
    tool = tools.choose_tool(_tools(body), _tool_choice(body), question, has_result=_has_result(messages[-1]))
    if tool is not None:
        return replies.reply_with(tools.arguments_for(tool), limit), tool
    wanted = read_object(read_object(body, "output_config"), "format") or read_object(body, "output_format")
    return tools.structured_reply(wanted.get("type"), wanted.get("schema"), question, limit), None


def _tools(body: Body) -> list[Tool]:
    # Tools that the provider runs have no schema.
    given = [tool for tool in replies.read_objects(body, "tools") if "input_schema" in tool]
    return [Tool(read_text(tool, "name"), tool["input_schema"]) for tool in given]


def _tool_choice(body: Body) -> str:
    choice = read_object(body, "tool_choice")
    if choice.get("type") == "tool":
        return read_text(choice, "name")
    return {"any": tools.REQUIRED, "none": tools.NONE}.get(str(choice.get("type")), AUTO)


def _has_result(message: object) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    return any(isinstance(block, dict) and block.get("type") == "tool_result" for block in blocks)


def _content_block(tool: Tool | None) -> Body:
    if tool is None:
        return {"type": "text", "text": ""}
    return {"type": "tool_use", "id": make_id("toolu_"), "name": tool.name, "input": {}}


def _tool_input(reply: Reply) -> object:
    return {} if reply.is_truncated else json.loads(reply.text)


def _opening_message(body: Body) -> Body:
    # Anthropic counts one output token before the first event with text.
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


def _stop_fields(reply: Reply, tool: Tool | None) -> Body:
    reason = "end_turn" if tool is None else "tool_use"
    return {"stop_reason": "max_tokens" if reply.is_truncated else reason, "stop_sequence": None}


def _usage(body: Body, output_tokens: int) -> Body:
    return {
        "input_tokens": replies.count_tokens(body.get("system")) + replies.count_tokens(body["messages"]),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
