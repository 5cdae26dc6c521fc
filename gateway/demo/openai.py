"""OpenAI's chat completions, text completions, embeddings and models.

Source: platform.openai.com/docs/api-reference, pages "Chat", "Completions", "Embeddings" and "Models".
"""

import base64
import struct
import time
from collections.abc import Iterator

from gateway.demo import replies, tools
from gateway.demo.replies import Body, Reply, make_id, read_list, read_object, read_text
from gateway.demo.tools import AUTO, Tool
from gateway.errors import BadInput, GatewayError, NotFound

# What the demo lists; a request may name any model.
MODELS = ("demo-chat", "demo-embedding")

MAX_CHOICES = 128
MAX_DIMENSIONS = 4096
DEFAULT_DIMENSIONS = 256

_CREATED_AT = 1_735_689_600


def render_error(error: GatewayError) -> Body:
    code = error.code if isinstance(error, NotFound) else None
    message = f"Invalid {error.field!r}: {error.message}" if error.field else error.message
    shape = {"message": message, "type": "invalid_request_error", "param": error.field, "code": code}
    return {"error": shape}


def answer_chat(body: Body) -> Body:
    """Answer `POST /v1/chat/completions`."""
    reply, tool, choices = _chat_reply(body)
    ending = {"logprobs": None, "finish_reason": _finish_reason(reply, tool)}
    return {
        **_envelope("chatcmpl-", "chat.completion", body),
        "choices": [{"index": at, "message": _message(reply, tool), **ending} for at in range(choices)],
        "usage": _usage(replies.count_tokens(body["messages"]), reply.tokens * choices),
    }


def stream_chat(body: Body) -> Iterator[bytes]:
    """Answer `POST /v1/chat/completions` as events."""
    reply, tool, choices = _chat_reply(body)
    head = _envelope("chatcmpl-", "chat.completion.chunk", body)
    items: list[list[Body]] = [
        [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
        for delta, finish in _stream_deltas(reply, tool)
        for index in range(choices)
    ]
    usage = _usage(replies.count_tokens(body["messages"]), reply.tokens * choices)
    return _stream(head, items, usage, wants_usage=_wants_usage(body))


def answer_text(body: Body) -> Body:
    """Answer `POST /v1/completions`."""
    texts, prompt_tokens = _text_replies(body)
    return {
        **_envelope("cmpl-", "text_completion", body),
        "choices": [_text_choice(at, reply.text, _finish_reason(reply)) for at, reply in enumerate(texts)],
        "usage": _usage(prompt_tokens, sum(reply.tokens for reply in texts)),
    }


def stream_text(body: Body) -> Iterator[bytes]:
    """Answer `POST /v1/completions` as events."""
    texts, prompt_tokens = _text_replies(body)
    items: list[list[Body]] = []
    for index, reply in enumerate(texts):
        items += [[_text_choice(index, piece, None)] for piece in reply.pieces]
        items += [[_text_choice(index, "", _finish_reason(reply))]]
    usage = _usage(prompt_tokens, sum(reply.tokens for reply in texts))
    head = _envelope("cmpl-", "text_completion", body)
    return _stream(head, items, usage, wants_usage=_wants_usage(body))


def answer_embeddings(body: Body) -> Body:
    """Answer `POST /v1/embeddings`."""
    model = read_text(body, "model")
    texts = _read_texts(body, "input")
    dimensions = replies.read_count(body, "dimensions", DEFAULT_DIMENSIONS, MAX_DIMENSIONS)
    vectors = [replies.embed(text, dimensions) for text in texts]
    is_packed = body.get("encoding_format") == "base64"
    tokens = replies.count_tokens(texts)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": at, "embedding": _pack_vector(vector) if is_packed else vector}
            for at, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def list_models() -> Body:
    """Answer `GET /v1/models`."""
    return {"object": "list", "data": list(map(show_model, MODELS))}


def show_model(model: str) -> Body:
    """Answer `GET /v1/models/{id}`. Raises NotFound."""
    if model not in MODELS:
        raise NotFound(f"The model {model!r} does not exist; there are {', '.join(MODELS)}.")
    return {"id": model, "object": "model", "created": _CREATED_AT, "owned_by": "demo"}


def _chat_reply(body: Body) -> tuple[Reply, Tool | None, int]:
    read_text(body, "model")
    messages = read_list(body, "messages")
    limit = replies.read_count(body, "max_tokens", replies.MAX_TOKENS, replies.MAX_TOKENS)
    limit = replies.read_count(body, "max_completion_tokens", limit, replies.MAX_TOKENS)
    question = replies.last_question(messages)
    has_result = isinstance(messages[-1], dict) and messages[-1].get("role") == "tool"
    tool = tools.choose_tool(_tools(body), _tool_choice(body), question, has_result=has_result)
    choices = replies.read_count(body, "n", 1, MAX_CHOICES)
    if tool is not None:
        return replies.reply_with(tools.arguments_for(tool), limit), tool, choices
    wanted = read_object(body, "response_format")
    schema = read_object(wanted, "json_schema").get("schema")
    return tools.structured_reply(wanted.get("type"), schema, question, limit), None, choices


def _tools(body: Body) -> list[Tool]:
    functions = (read_object(tool, "function") for tool in replies.read_objects(body, "tools"))
    return [Tool(read_text(each, "name"), each.get("parameters")) for each in functions if each]


def _tool_choice(body: Body) -> str:
    choice = body.get("tool_choice") or AUTO
    if isinstance(choice, str):
        return choice
    return read_text(read_object(read_object(body, "tool_choice"), "function"), "name")


def _message(reply: Reply, tool: Tool | None) -> Body:
    message: Body = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if tool is None:
        return message
    function = {"name": tool.name, "arguments": reply.text}
    call = {"id": make_id("call_"), "type": "function", "function": function}
    return {**message, "content": None, "tool_calls": [call]}


def _stream_deltas(reply: Reply, tool: Tool | None) -> Iterator[tuple[Body, str | None]]:
    if tool is None:
        yield {"role": "assistant", "content": "", "refusal": None}, None
        for piece in reply.pieces:
            yield {"content": piece}, None
    else:
        function = {"name": tool.name, "arguments": ""}
        call = {"index": 0, "id": make_id("call_"), "type": "function", "function": function}
        yield {"role": "assistant", "content": None, "tool_calls": [call]}, None
        for piece in reply.pieces:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}, None
    yield {}, _finish_reason(reply, tool)


def _text_replies(body: Body) -> tuple[list[Reply], int]:
    read_text(body, "model")
    prompts = _read_texts(body, "prompt")
    limit = replies.read_count(body, "max_tokens", replies.MAX_TOKENS, replies.MAX_TOKENS)
    choices = replies.read_count(body, "n", 1, MAX_CHOICES)
    texts = [replies.reply_to(prompt, limit) for prompt in prompts for _ in range(choices)]
    return texts, replies.count_tokens(prompts)


def _read_texts(body: Body, field: str) -> list[str]:
    """Return one or several texts; token ids become a text of as many words."""
    value = body.get(field)
    if isinstance(value, str):
        return [value]
    items = read_list(body, field)
    if all(isinstance(item, int) for item in items):
        return [" ".join(map(str, items))]
    if not all(isinstance(item, str | list) for item in items):
        raise BadInput("a string, an array of strings, or arrays of token ids are required.", field=field)
    return [" ".join(map(str, item)) if isinstance(item, list) else str(item) for item in items]


def _envelope(prefix: str, kind: str, body: Body) -> dict[str, object]:
    return {"id": make_id(prefix), "object": kind, "created": int(time.time()), "model": body["model"]}


def _stream(head: Body, items: list[list[Body]], usage: Body, *, wants_usage: bool) -> Iterator[bytes]:
    waiting: Body = {"usage": None} if wants_usage else {}
    for choices in items:
        yield replies.encode_event({**head, "choices": choices, **waiting})
    if wants_usage:
        yield replies.encode_event({**head, "choices": [], "usage": usage})
    yield replies.STREAM_END


def _wants_usage(body: Body) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _text_choice(index: int, text: str, finish: str | None) -> Body:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _finish_reason(reply: Reply, tool: Tool | None = None) -> str:
    if reply.is_truncated:
        return "length"
    return "stop" if tool is None else "tool_calls"


def _usage(prompt_tokens: int, completion_tokens: int) -> Body:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _pack_vector(vector: list[float]) -> str:
    # Little-endian 32-bit floats, as OpenAI's SDKs unpack.
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
