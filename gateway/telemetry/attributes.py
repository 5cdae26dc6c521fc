"""OpenTelemetry ids, span names and attributes of requests and feedback."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.models.conversation import (
    Media,
    Message,
    OtherPart,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.models.exchange import NO_OPT_OUT, Exchange, Outcome, PayloadPolicy
from gateway.models.feedback import Feedback
from gateway.models.request import NANOUSD_PER_USD, Facts
from gateway.wire import read_conversation
from gateway.wire.endpoints import OPERATIONS
from gateway.wire.formats import WireMessage
from gateway.wire.json_fields import parse_json

_HEX_128 = re.compile(r"[0-9a-f]{32}")
_HEX_64 = re.compile(r"[0-9a-f]{16}")


def otel_trace_id(trace_id: str) -> int:
    """Return a trace's number: what the id spells in 32 hex digits, as in a `traceparent` or a UUID; else one made
    of its SHA-256."""
    plain = trace_id.lower().replace("-", "")
    return _parse_hex(plain if _HEX_128.fullmatch(plain) else _hash_hex(trace_id, 16))


def otel_span_id(trace: int, span_id: str) -> int:
    """Return a span's number: what the id spells in 16 hex digits; else one made of the SHA-256 of its trace's
    number and itself, since names such as `plan` come again in other traces, and receivers tell spans apart by
    their numbers alone."""
    plain = span_id.lower()
    return _parse_hex(plain if _HEX_64.fullmatch(plain) else _hash_hex(f"{trace:032x}/{span_id}", 8))


def _hash_hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[: 2 * length]


def _parse_hex(digits: str) -> int:
    # Zero is no valid id.
    return int(digits, 16) or 1


AttributeValue = str | bool | int | float | Sequence[str]
Attributes = dict[str, AttributeValue]

EVALUATION_EVENT = "gen_ai.evaluation.result"
"""Name of the event that a version of feedback is."""

MAX_MESSAGE_CHARACTERS = 64_000
"""Of the messages of one side, as JSON."""

MAX_PART_CHARACTERS = 16_000
"""Most characters of a part. Of longer text the beginning is kept."""

_UNKNOWN = "unknown"

_PROMPT_VERSION = re.compile(r"(.+)@(v?[0-9][0-9A-Za-z.-]*)")


def span_name(exchange: Exchange, facts: Facts) -> str:
    """Return `chat MODEL` and the like; the method, where it is no kind of call that is known."""
    operation = OPERATIONS.get(exchange.endpoint)
    if operation is None:
        return exchange.method
    model = facts.requested_model or facts.model
    return f"{operation} {model}" if model else operation


def request_attributes(exchange: Exchange, facts: Facts) -> Attributes:
    """Return what is told of a request."""
    usage, metadata = facts.usage, exchange.identity.metadata
    first_byte_us = exchange.first_byte_at_us
    session = _text(metadata.get("_session")) or facts.session
    user = _text(metadata.get("_user")) or facts.user
    prompt = _text(metadata.get("_prompt"))
    prompt_name, prompt_version = _split_prompt(prompt)
    cost_usd = None if facts.cost is None else facts.cost.nanousd / NANOUSD_PER_USD
    return _without_none(
        {
            "gen_ai.operation.name": OPERATIONS.get(exchange.endpoint),
            "gen_ai.provider.name": exchange.provider,
            "gen_ai.request.model": facts.requested_model,
            "gen_ai.response.model": facts.model,
            "gen_ai.response.id": facts.response_id,
            "gen_ai.response.finish_reasons": None if facts.finish_reason is None else [facts.finish_reason],
            "gen_ai.response.time_to_first_chunk": (
                None if first_byte_us is None else (first_byte_us - exchange.started_at_us) / 1e6
            ),
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            # The second is the later name of the first. Phoenix 20 knows only the first.
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            "gen_ai.conversation.id": session,
            "session.id": session,
            "gen_ai.prompt.name": prompt_name,
            "gen_ai.prompt.version": prompt_version,
            "user.id": user,
            "enduser.id": user,
            "http.request.method": exchange.method,
            "http.response.status_code": exchange.status,
            "error.type": error_type(exchange),
            "gateway.request_id": exchange.identity.request_id,
            "gateway.trace_id": exchange.identity.trace_id,
            "gateway.outcome": exchange.outcome.value,
            "gateway.cost_usd": cost_usd,
            "mlflow.llm.cost": None if cost_usd is None else orjson.dumps({"total_cost": cost_usd}).decode(),
            "gateway.key_name": exchange.key_name,
            "gateway.tenant": exchange.tenant,
            "gateway.prompt": prompt,
            "gateway.organisation": _text(metadata.get("_organisation")),
            "gateway.environment": _text(metadata.get("_environment")),
        }
    )


def message_attributes(exchange: Exchange) -> Attributes:
    """Return what was asked and answered, as JSON; nothing of an exchange that is not kept whole."""
    if exchange.payloads is not PayloadPolicy.FULL or exchange.opt_out != NO_OPT_OUT:
        return {}
    if OPERATIONS.get(exchange.endpoint) in (None, "embeddings"):
        return {}
    conversation = read_conversation(
        exchange.endpoint,
        WireMessage.of_request(exchange),
        WireMessage.of_response(exchange),
    )
    messages = {
        "gen_ai.input.messages": [_to_otel(message) for message in conversation.input if message.parts],
        "gen_ai.output.messages": [
            _to_otel(message) | {"finish_reason": message.finish_reason or _UNKNOWN}
            for message in conversation.output
            if message.parts
        ],
    }
    return {name: _messages_json(found) for name, found in messages.items() if found}


OtelMessage = dict[str, Any]
"""A role, parts, and for an answer why it ended."""


def _to_otel(message: Message) -> OtelMessage:
    return {"role": message.role, "parts": [_to_otel_part(part) for part in message.parts]}


def _to_otel_part(part: Part) -> Mapping[str, object]:
    match part:
        case Text(content) | Refusal(content):
            return {"type": "text", "content": _shorten(content)}
        case Reasoning(content):
            return {"type": "reasoning", "content": _shorten(content)}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            given = (
                _parse_arguments(arguments) if len(arguments) <= MAX_PART_CHARACTERS else _shorten(arguments)
            )
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": given}
        case ToolResult(id=call_id):
            return {"type": "tool_call_response", "id": call_id, "response": _to_response(part)}
        case Media():
            return _to_otel_media(part)
        case OtherPart(kind):
            return {"type": kind}


def _parse_arguments(text: str) -> object:
    try:
        return parse_json(text) if text else None
    except orjson.JSONDecodeError:
        return text


def _to_response(result: ToolResult) -> object:
    """Return what a tool returned, as text where it is nothing else."""
    if len(result.content) == 1 and isinstance(result.content[0], Text):
        return _shorten(result.content[0].content)
    return [_to_otel_part(part) for part in result.content]


def _to_otel_media(media: Media) -> Mapping[str, object]:
    # What images, sounds and files hold is left out.
    kind = "uri" if media.uri else "file" if media.file_id else "blob"
    described = {"mime_type": media.media_type, "uri": media.uri, "file_id": media.file_id}
    return {"type": kind, "modality": media.modality} | {k: v for k, v in described.items() if v is not None}


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_PART_CHARACTERS else f"{text[:MAX_PART_CHARACTERS]}…"


def feedback_attributes(entry: Feedback) -> Attributes:
    """Return what is told of a version of an entry. Who judged and what they wrote is not."""
    return _without_none(
        {
            "gen_ai.evaluation.name": entry.metric or entry.kind.value,
            "gen_ai.evaluation.score.value": entry.score,
            "gen_ai.evaluation.score.label": score_label(entry.score),
            "gateway.feedback_id": entry.feedback_id,
            "gateway.feedback.version": entry.version,
            "gateway.feedback.is_withdrawn": entry.deleted_at_us is not None,
            "gateway.feedback.value": entry.value,
            "gateway.feedback.weight": entry.weight,
            "gateway.feedback.source": entry.source.value,
            "gateway.feedback.dialect": entry.dialect,
            "gateway.trace_id": feedback_trace_id(entry),
            "gateway.request_id": entry.request_id,
            "gateway.key_name": entry.key_name,
            "gateway.tenant": entry.tenant,
        }
    )


def feedback_trace_id(entry: Feedback) -> str:
    """Return the trace that an entry is about, or where that is not known yet the id that it was given for."""
    return entry.trace_id or entry.subject_id


def error_type(exchange: Exchange) -> str | None:
    """Return what went wrong: the status of an error, or how it ended; None if nothing did. That a caller left is
    no error."""
    if exchange.outcome not in (Outcome.COMPLETE, Outcome.CLIENT_CLOSED):
        return exchange.outcome.value
    return str(exchange.status) if exchange.status is not None and exchange.status >= 400 else None


def score_label(score: float | None) -> str | None:
    """Return what a score says in a word."""
    if score is None:
        return None
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"


def _split_prompt(prompt: str | None) -> tuple[str | None, str | None]:
    """Name and version of a prompt that is written with both, as `NAME@VERSION`."""
    versioned = _PROMPT_VERSION.fullmatch(prompt or "")
    return (prompt, None) if versioned is None else (versioned[1], versioned[2])


def _messages_json(messages: Sequence[OtelMessage]) -> str:
    """The last messages as far as there is room for them, since spans wait in memory."""
    remaining = MAX_MESSAGE_CHARACTERS
    written: list[str] = []
    for message in reversed(messages):
        text = orjson.dumps(message).decode()
        if len(text) > remaining:
            written.append(orjson.dumps(_shorten_message(message, remaining)).decode())
            break
        remaining -= len(text)
        written.append(text)
    return f"[{','.join(reversed(written))}]"


def _shorten_message(message: OtelMessage, remaining: int) -> OtelMessage:
    """The first parts of a message as far as there is room for them."""
    parts = []
    for part in message["parts"]:
        remaining -= len(orjson.dumps(part))
        if remaining < 0:
            break
        parts.append(part)
    return {**message, "parts": parts}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _without_none(values: Mapping[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
