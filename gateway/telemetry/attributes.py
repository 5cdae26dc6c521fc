"""OpenTelemetry ids, span names and attributes of requests and feedback."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any

import orjson

from gateway.models import conversation
from gateway.models.columns import Column, Origin
from gateway.models.exchange import NO_OPT_OUT, Exchange, Outcome, PayloadPolicy
from gateway.models.feedback import Feedback
from gateway.models.request import NANOUSD_PER_USD, REQUEST_COLUMNS, Facts
from gateway.wire import read_conversation
from gateway.wire.endpoints import OPERATIONS
from gateway.wire.formats import WireMessage
from gateway.wire.json_fields import parse_json

_HEX_128 = re.compile(r"[0-9a-f]{32}")
_HEX_64 = re.compile(r"[0-9a-f]{16}")


def otel_trace_id(trace_id: str) -> int:
    # Ids of 32 hex digits (`traceparent`, UUID) stay as they are.
    plain = trace_id.lower().replace("-", "")
    return _parse_hex(plain if _HEX_128.fullmatch(plain) else _hash_hex(trace_id, 16))


def otel_span_id(trace: int, span_id: str) -> int:
    # Hashed with its trace: names such as `plan` come again elsewhere, and receivers know spans by number alone.
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

# Of one side, as JSON.
MAX_MESSAGE_CHARACTERS = 64_000

# Most characters of a part. Of longer text the beginning is kept.
MAX_PART_CHARACTERS = 16_000

_UNKNOWN = "unknown"

_PROMPT_VERSION = re.compile(r"(.+)@(v?[0-9][0-9A-Za-z.-]*)")


def span_name(exchange: Exchange, facts: Facts) -> str:
    # The method for calls of unknown kind.
    operation = OPERATIONS.get(exchange.endpoint)
    if operation is None:
        return exchange.method
    model = facts.requested_model or facts.model
    return f"{operation} {model}" if model else operation


def request_attributes(exchange: Exchange, facts: Facts) -> Attributes:
    first_byte_us = exchange.first_byte_at_us
    prompt_name, prompt_version = _split_prompt(_text(exchange.identity.metadata.get("_prompt")))
    cost_usd = None if facts.cost is None else facts.cost.nanousd / NANOUSD_PER_USD
    return _without_none(
        {
            "gen_ai.operation.name": OPERATIONS.get(exchange.endpoint),
            "gen_ai.response.finish_reasons": None if facts.finish_reason is None else [facts.finish_reason],
            "gen_ai.response.time_to_first_chunk": (
                None if first_byte_us is None else (first_byte_us - exchange.started_at_us) / 1e6
            ),
            "gen_ai.prompt.name": prompt_name,
            "gen_ai.prompt.version": prompt_version,
            "error.type": error_type(exchange),
            "gateway.cost_usd": cost_usd,
            "mlflow.llm.cost": None if cost_usd is None else orjson.dumps({"total_cost": cost_usd}).decode(),
        }
    ) | (
        {
            attribute: value
            for column, read in _COLUMN_READERS
            if (value := read(exchange, facts)) is not None
            for attribute in column.attributes
        }
    )


def _column_reader(column: Column) -> Callable[[Exchange, Facts], AttributeValue | None]:
    key, get = f"_{column.name}", attrgetter(column.path)
    if column.origin is Origin.METADATA:
        # Else what the body or baggage names.
        return lambda exchange, facts: (
            _text(exchange.identity.metadata.get(key)) or getattr(facts, column.name, None)
        )
    if column.origin is Origin.FACT:
        return lambda _, facts: get(facts)
    return lambda exchange, _: str(get(exchange)) if column.is_a(StrEnum) else get(exchange)


_COLUMN_READERS = tuple((column, _column_reader(column)) for column in REQUEST_COLUMNS if column.attributes)


def message_attributes(exchange: Exchange) -> Attributes:
    # Only of exchanges that are kept in full.
    if exchange.payloads is not PayloadPolicy.FULL or exchange.opt_out != NO_OPT_OUT:
        return {}
    if OPERATIONS.get(exchange.endpoint) in (None, "embeddings"):
        return {}
    request, response = WireMessage.of_request(exchange), WireMessage.of_response(exchange)
    said = read_conversation(exchange.endpoint, request, response)
    messages = {
        "gen_ai.input.messages": [_to_otel(message) for message in said.input if message.parts],
        "gen_ai.output.messages": [
            _to_otel(message) | {"finish_reason": message.finish_reason or _UNKNOWN}
            for message in said.output
            if message.parts
        ],
    }
    return {name: _messages_json(found) for name, found in messages.items() if found}


# A role, parts, and for an answer why it ended.
OtelMessage = dict[str, Any]


def _to_otel(message: conversation.Message) -> OtelMessage:
    return {"role": message.role, "parts": [_to_otel_part(part) for part in message.parts]}


def _to_otel_part(part: conversation.Part) -> Mapping[str, object]:
    match part:
        case conversation.Text(content) | conversation.Refusal(content):
            return {"type": "text", "content": _shorten(content)}
        case conversation.Reasoning(content):
            return {"type": "reasoning", "content": _shorten(content)}
        case conversation.ToolCall(id=call_id, name=name, arguments=arguments):
            is_short = len(arguments) <= MAX_PART_CHARACTERS
            given = _parse_arguments(arguments) if is_short else _shorten(arguments)
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": given}
        case conversation.ToolResult(id=call_id):
            return {"type": "tool_call_response", "id": call_id, "response": _to_response(part)}
        case conversation.Media():
            return _to_otel_media(part)
        case conversation.OtherPart(kind):
            return {"type": kind}


def _parse_arguments(text: str) -> object:
    try:
        return parse_json(text) if text else None
    except orjson.JSONDecodeError:
        return text


def _to_response(result: conversation.ToolResult) -> object:
    """Return what a tool returned, as text where it is nothing else."""
    if len(result.content) == 1 and isinstance(result.content[0], conversation.Text):
        return _shorten(result.content[0].content)
    return [_to_otel_part(part) for part in result.content]


def _to_otel_media(media: conversation.Media) -> Mapping[str, object]:
    # What images, sounds and files hold is left out.
    kind = "uri" if media.uri else "file" if media.file_id else "blob"
    described = {"mime_type": media.media_type, "uri": media.uri, "file_id": media.file_id}
    return {"type": kind, "modality": media.modality} | {k: v for k, v in described.items() if v is not None}


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_PART_CHARACTERS else f"{text[:MAX_PART_CHARACTERS]}…"


def feedback_attributes(entry: Feedback) -> Attributes:
    # Neither author nor texts.
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
    # While the trace is unknown, the id that the entry was given on.
    return entry.trace_id or entry.subject_id


def error_type(exchange: Exchange) -> str | None:
    # A caller that left is no failure.
    if exchange.outcome not in (Outcome.COMPLETE, Outcome.CLIENT_CLOSED):
        return exchange.outcome.value
    return str(exchange.status) if exchange.status is not None and exchange.status >= 400 else None


def score_label(score: float | None) -> str | None:
    """Return `positive`, `negative` or `neutral`."""
    if score is None:
        return None
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"


def _split_prompt(prompt: str | None) -> tuple[str | None, str | None]:
    """Return name and version of `NAME@VERSION`."""
    versioned = _PROMPT_VERSION.fullmatch(prompt or "")
    return (prompt, None) if versioned is None else (versioned[1], versioned[2])


def _messages_json(messages: Sequence[OtelMessage]) -> str:
    # Cut to the last messages, since spans wait in memory.
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
    # The first parts, as far as there is room.
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
