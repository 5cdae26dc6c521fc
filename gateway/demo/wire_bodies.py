"""Bodies of the demo data: each planned request and its answer in the format of its provider."""

import base64
import json
import struct
from collections.abc import Callable, Iterator, Mapping

from gateway.demo.content import ToolUse, count_tokens
from gateway.demo.replies import STREAM_END, Body, embed, encode_event, reply_with
from gateway.demo.traffic import Api, DemoCall

_IMAGE_URL = "https://files.example.com/shots/4711.jpg"
_DIMENSIONS = 64
_WORDS_IN_EVENT = 4
_THOUGHTS = (
    "The user wants to know what is right here. I look at the reference, then answer the question first."
)
# Prompts from this length on are read from a cache, in blocks.
_MIN_CACHED_TOKENS, _CACHE_BLOCK_TOKENS = 1_024, 128


def response_id(call: DemoCall) -> str:
    """Return the provider's id of an answer."""
    prefix = {Api.CHAT: "chatcmpl-", Api.MESSAGES: "msg_", Api.RESPONSES: "resp_"}.get(call.route.api, "")
    return f"{prefix}{call.span_id}{call.span_id[::-1]}"


def _pieces(text: str) -> Iterator[str]:
    words = reply_with(text).pieces
    for start in range(0, len(words), _WORDS_IN_EVENT):
        yield "".join(words[start : start + _WORDS_IN_EVENT])


def _prompt_tokens(call: DemoCall) -> int:
    texts = [text for _, text in call.turn.messages]
    uses = [use.arguments + use.result for use in call.tool_uses]
    return 8 + sum(map(count_tokens, (call.instructions, *texts, *uses)))


def _completion_tokens(call: DemoCall) -> int:
    tool = call.next_tool
    return call.reasoning_tokens + count_tokens(tool.arguments if tool else call.turn.answer)


def _cached_tokens(call: DemoCall) -> int:
    # The first request of a conversation writes the cache.
    if call.turn.is_first and not call.tool_uses:
        return 0
    long = _prompt_tokens(call)
    return long - long % _CACHE_BLOCK_TOKENS if long >= _MIN_CACHED_TOKENS else 0


def _tool_names(call: DemoCall) -> list[str]:
    tool = call.turn.scenario.tool
    return [] if tool is None else ["read_file", tool.name]


def _tool_id(call: DemoCall, position: int) -> str:
    return f"call_{call.trace_id[:16]}{position}"


_SCHEMA = {"type": "object", "properties": {}, "additionalProperties": True}


# OpenAI's chat completions.


def _chat_request(call: DemoCall) -> Body:
    body: dict[str, object] = {"model": call.route.model, "messages": list(_chat_messages(call))}
    if call.is_stream:
        # Some clients do not ask for the usage of a stream.
        usage = {} if call.team == "sales" else {"stream_options": {"include_usage": True}}
        body |= {"stream": True, **usage}
    if call.turn.scenario.kind == "json":
        body["response_format"] = {"type": "json_object"}
    if names := _tool_names(call):
        body["tools"] = [
            {"type": "function", "function": {"name": name, "parameters": _SCHEMA}} for name in names
        ]
    return body | ({"reasoning_effort": "medium"} if call.route.is_reasoning else {"temperature": 0.3})


def _chat_messages(call: DemoCall) -> Iterator[Body]:
    yield {"role": "system", "content": call.instructions}
    for role, text in call.turn.messages[:-1]:
        yield {"role": role, "content": text}
    yield {"role": "user", "content": _chat_question(call)}
    for position, use in enumerate(call.tool_uses):
        yield {"role": "assistant", "content": None, "tool_calls": [_chat_tool(call, position, use)]}
        yield {"role": "tool", "tool_call_id": _tool_id(call, position), "content": use.result}


def _chat_question(call: DemoCall) -> object:
    text = call.turn.messages[-1][1]
    if call.turn.scenario.kind != "image":
        return text
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": _IMAGE_URL}}]


def _chat_tool(call: DemoCall, position: int, use: ToolUse) -> Body:
    function = {"name": use.name, "arguments": use.arguments}
    return {"id": _tool_id(call, position), "type": "function", "function": function}


def _chat_answer(call: DemoCall) -> Body:
    message: dict[str, object] = {"role": "assistant", "content": call.turn.answer, "refusal": None}
    if call.next_tool:
        tool = _chat_tool(call, len(call.tool_uses), call.next_tool)
        message |= {"content": None, "tool_calls": [tool]}
    elif call.turn.scenario.kind == "refusal":
        message |= {"content": None, "refusal": call.turn.answer}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _chat_end(call)}
    return _chat_envelope(call, "chat.completion") | {"choices": [choice], "usage": _chat_usage(call)}


def _chat_stream(call: DemoCall) -> Iterator[bytes]:
    head = _chat_envelope(call, "chat.completion.chunk")

    def event(delta: Body, end: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        return encode_event({**head, "choices": [choice]})

    yield event({"role": "assistant", "content": "", "refusal": None})
    if call.next_tool:
        yield event({"tool_calls": [{"index": 0, **_chat_tool(call, len(call.tool_uses), call.next_tool)}]})
    else:
        field = "refusal" if call.turn.scenario.kind == "refusal" else "content"
        for piece in _pieces(call.turn.answer):
            yield event({field: piece})
    yield event({}, _chat_end(call))
    if call.team != "sales":
        yield encode_event({**head, "choices": [], "usage": _chat_usage(call)})
    yield STREAM_END


def _chat_envelope(call: DemoCall, kind: str) -> dict[str, object]:
    created = call.started_at_us // 1_000_000
    return {"id": response_id(call), "object": kind, "created": created, "model": call.route.snapshot}


def _chat_end(call: DemoCall) -> str:
    return "tool_calls" if call.next_tool else "stop"


def _chat_usage(call: DemoCall) -> Body:
    prompt, completion = _prompt_tokens(call), _completion_tokens(call)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": _cached_tokens(call), "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": call.reasoning_tokens, "audio_tokens": 0},
    }


# OpenAI's responses and embeddings.


def _responses_request(call: DemoCall) -> Body:
    messages = [{"role": role, "content": text} for role, text in call.turn.messages]
    calls = [
        item for position, use in enumerate(call.tool_uses) for item in _function_items(call, position, use)
    ]
    tools = [{"type": "function", "name": name, "parameters": _SCHEMA} for name in _tool_names(call)]
    asked = {"model": call.route.model, "instructions": call.instructions, "input": [*messages, *calls]}
    return {**asked, **({"tools": tools} if tools else {}), "store": False}


def _function_items(call: DemoCall, position: int, use: ToolUse) -> list[Body]:
    name = _tool_id(call, position)
    asked = {"type": "function_call", "call_id": name, "name": use.name, "arguments": use.arguments}
    return [asked, {"type": "function_call_output", "call_id": name, "output": use.result}]


def _responses_answer(call: DemoCall) -> Body:
    tool = call.next_tool
    content = {"type": "output_text", "text": call.turn.answer, "annotations": []}
    item: Body = {"type": "message", "role": "assistant", "status": "completed", "content": [content]}
    if tool:
        item = _function_items(call, len(call.tool_uses), tool)[0]
    prompt, completion = _prompt_tokens(call), _completion_tokens(call)
    return {
        "id": response_id(call),
        "object": "response",
        "created_at": call.started_at_us // 1_000_000,
        "status": "completed",
        "model": call.route.snapshot,
        "output": [{"id": f"item_{call.span_id}", **item}],
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": _cached_tokens(call)},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": call.reasoning_tokens},
            "total_tokens": prompt + completion,
        },
    }


def _embeddings_request(call: DemoCall) -> Body:
    text = call.turn.messages[-1][1]
    return {
        "model": call.route.model,
        "input": text,
        "dimensions": _DIMENSIONS,
        "encoding_format": "base64",
    }


def _embeddings_answer(call: DemoCall) -> Body:
    text = call.turn.messages[-1][1]
    packed = base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *embed(text, _DIMENSIONS))).decode()
    tokens = count_tokens(text)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": packed}],
        "model": call.route.snapshot,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


# Anthropic's messages.


def _messages_request(call: DemoCall) -> Body:
    system = {"type": "text", "text": call.instructions, "cache_control": {"type": "ephemeral"}}
    body: dict[str, object] = {
        "model": call.route.model,
        "max_tokens": 4_096,
        "system": [system],
        "messages": list(_messages(call)),
    }
    if call.is_stream:
        body["stream"] = True
    if call.route.is_reasoning:
        body["thinking"] = {"type": "enabled", "budget_tokens": 2_048}
    if names := _tool_names(call):
        body["tools"] = [{"name": name, "input_schema": _SCHEMA} for name in names]
    return body


def _messages(call: DemoCall) -> Iterator[Body]:
    for role, text in call.turn.messages[:-1]:
        yield {"role": role, "content": text}
    text_block = {"type": "text", "text": call.turn.messages[-1][1]}
    image = {"type": "image", "source": {"type": "url", "url": _IMAGE_URL}}
    has_image = call.turn.scenario.kind == "image"
    yield {"role": "user", "content": [image, text_block] if has_image else [text_block]}
    for position, use in enumerate(call.tool_uses):
        result = {"type": "tool_result", "tool_use_id": _tool_id(call, position), "content": use.result}
        yield {"role": "assistant", "content": [_tool_block(call, position, use)]}
        yield {"role": "user", "content": [result]}


def _tool_block(call: DemoCall, position: int, use: ToolUse) -> Body:
    arguments = json.loads(use.arguments)
    return {"type": "tool_use", "id": _tool_id(call, position), "name": use.name, "input": arguments}


def _message_answer(call: DemoCall) -> Body:
    blocks: list[Body] = []
    if call.route.is_reasoning:
        blocks.append({"type": "thinking", "thinking": _THOUGHTS, "signature": f"sig{call.span_id}"})
    tool = call.next_tool
    text = {"type": "text", "text": call.turn.answer}
    blocks.append(text if tool is None else _tool_block(call, len(call.tool_uses), tool))
    return {
        "id": response_id(call),
        "type": "message",
        "role": "assistant",
        "model": call.route.snapshot,
        "content": blocks,
        "stop_reason": _message_end(call),
        "stop_sequence": None,
        "usage": _message_usage(call),
    }


def _message_end(call: DemoCall) -> str:
    if call.next_tool:
        return "tool_use"
    return "refusal" if call.turn.scenario.kind == "refusal" else "end_turn"


def _message_usage(call: DemoCall) -> Mapping[str, int]:
    prompt, cached = _prompt_tokens(call), _cached_tokens(call)
    is_long = prompt >= _MIN_CACHED_TOKENS
    written = prompt - prompt % _CACHE_BLOCK_TOKENS if is_long and not cached else 0
    return {
        "input_tokens": prompt - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": _completion_tokens(call),
    }


def _message_stream(call: DemoCall) -> Iterator[bytes]:
    answer = dict(_message_answer(call))
    blocks, usage = answer["content"], _message_usage(call)
    opened = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield _named({"type": "message_start", "message": opened})
    for index, block in enumerate(blocks if isinstance(blocks, list) else []):
        yield from _block_events(index, block)
    end = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield _named({"type": "message_delta", "delta": end, "usage": {"output_tokens": usage["output_tokens"]}})
    yield _named({"type": "message_stop"})


def _block_events(index: int, block: Mapping[str, object]) -> Iterator[bytes]:
    kind = block["type"]
    empty: Mapping[str, Body] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    start = {**block, **empty[str(kind)]}
    yield _named({"type": "content_block_start", "index": index, "content_block": start})
    for delta in _block_deltas(block):
        yield _named({"type": "content_block_delta", "index": index, "delta": delta})
    yield _named({"type": "content_block_stop", "index": index})


def _block_deltas(block: Mapping[str, object]) -> Iterator[Body]:
    if block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    elif block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield from ({"type": "text_delta", "text": piece} for piece in _pieces(str(block["text"])))


def _named(event: Body) -> bytes:
    return encode_event(event, str(event["type"]))


# Gemini's generateContent.


def _gemini_request(call: DemoCall) -> Body:
    contents: list[Body] = [
        {"role": "model" if role == "assistant" else "user", "parts": [{"text": text}]}
        for role, text in call.turn.messages
    ]
    if call.turn.scenario.kind == "image":
        file = {"fileData": {"mimeType": "image/jpeg", "fileUri": _IMAGE_URL}}
        contents[-1] = {"role": "user", "parts": [file, {"text": call.turn.messages[-1][1]}]}
    return {"systemInstruction": {"parts": [{"text": call.instructions}]}, "contents": contents}


def _gemini_answer(call: DemoCall) -> Body:
    return _gemini_part(call, call.turn.answer, "STOP")


def _gemini_stream(call: DemoCall) -> Iterator[bytes]:
    pieces = list(_pieces(call.turn.answer))
    for position, piece in enumerate(pieces, 1):
        yield encode_event(_gemini_part(call, piece, "STOP" if position == len(pieces) else None))


def _gemini_part(call: DemoCall, text: str, end: str | None) -> Body:
    content = {"parts": [{"text": text}], "role": "model"}
    candidate = {"content": content, "index": 0, **({"finishReason": end} if end else {})}
    prompt, completion = _prompt_tokens(call), _completion_tokens(call)
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completion,
        "totalTokenCount": prompt + completion,
    }
    answer = {"candidates": [candidate], "modelVersion": call.route.snapshot, "responseId": response_id(call)}
    return {**answer, **({"usageMetadata": usage} if end else {})}


REQUESTS: Mapping[Api, Callable[[DemoCall], Body]] = {
    Api.CHAT: _chat_request,
    Api.MESSAGES: _messages_request,
    Api.RESPONSES: _responses_request,
    Api.GEMINI: _gemini_request,
    Api.EMBEDDINGS: _embeddings_request,
}
ANSWERS: Mapping[Api, Callable[[DemoCall], Body]] = {
    Api.CHAT: _chat_answer,
    Api.MESSAGES: _message_answer,
    Api.RESPONSES: _responses_answer,
    Api.GEMINI: _gemini_answer,
    Api.EMBEDDINGS: _embeddings_answer,
}
STREAMS: Mapping[Api, Callable[[DemoCall], Iterator[bytes]]] = {
    Api.CHAT: _chat_stream,
    Api.MESSAGES: _message_stream,
    Api.GEMINI: _gemini_stream,
}
