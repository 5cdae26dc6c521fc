"""OpenTelemetry ids, span names and attributes of requests and feedback."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from operator import attrgetter

import orjson

from gateway.models.columns import Column, Origin
from gateway.models.exchange import NO_OPT_OUT, Exchange, Outcome, PayloadPolicy
from gateway.models.feedback import Feedback
from gateway.models.request import NANOUSD_PER_USD, REQUEST_COLUMNS, Facts
from gateway.wire.messages import Message, read_messages

_HEX_128 = re.compile(r"[0-9a-f]{32}")
_HEX_64 = re.compile(r"[0-9a-f]{16}")


def otel_trace_id(trace_id: str) -> int:
    """Return the number that the id is in 32 hex digits (`traceparent`, UUID), else half of its SHA-256."""
    plain = trace_id.lower().replace("-", "")
    return _parse_hex(plain if _HEX_128.fullmatch(plain) else _hash_hex(trace_id, 16))


def otel_span_id(trace: int, span_id: str) -> int:
    """Return the number that the id is in 16 hex digits, else one of its hash."""
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

_PROMPT_VERSION = re.compile(r"(.+)@(v?[0-9][0-9A-Za-z.-]*)")

_OPERATIONS: Mapping[str, str] = {
    "chat.completions": "chat",
    "responses": "chat",
    "messages": "chat",
    "completions": "text_completion",
    "cohere.chat": "chat",
    "dashscope.generation": "chat",
    "ernie.chat": "chat",
    "cohere.generate": "text_completion",
    "tgi.generate": "text_completion",
    "watsonx.generation": "text_completion",
    "embeddings": "embeddings",
    "cohere.embed": "embeddings",
    "gemini.generate": "generate_content",
    "gemini.interactions": "chat",
    "gemini.embed": "embeddings",
    "ollama.chat": "chat",
    "ollama.generate": "text_completion",
    "ollama.embed": "embeddings",
}


def span_name(exchange: Exchange, facts: Facts) -> str:
    """Return `chat MODEL` and the like; the method for calls of unknown kind."""
    operation = _OPERATIONS.get(exchange.endpoint)
    if operation is None:
        return exchange.method
    model = facts.requested_model or facts.model
    return f"{operation} {model}" if model else operation


def request_attributes(exchange: Exchange, facts: Facts) -> Attributes:
    """Return the attributes of a request's span."""
    first_byte_us = exchange.first_byte_at_us
    prompt_name, prompt_version = _split_prompt(_text(exchange.identity.metadata.get("_prompt")))
    cost_usd = None if facts.cost is None else facts.cost.nanousd / NANOUSD_PER_USD
    return _without_none(
        {
            "gen_ai.operation.name": _OPERATIONS.get(exchange.endpoint),
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
    ) | _without_none(
        {
            attribute: _column_value(column, exchange, facts)
            for column in REQUEST_COLUMNS
            for attribute in column.attributes
        }
    )


def _column_value(column: Column, exchange: Exchange, facts: Facts) -> AttributeValue | None:
    if column.origin is Origin.METADATA:
        # Else what the body or baggage names.
        return _text(exchange.identity.metadata.get(f"_{column.name}")) or getattr(facts, column.name, None)
    value: AttributeValue | None = attrgetter(column.path)(
        facts if column.origin is Origin.FACT else exchange
    )
    return str(value) if column.is_a(StrEnum) else value


def message_attributes(exchange: Exchange) -> Attributes:
    """Return the messages of an exchange that is kept in full, as JSON."""
    if exchange.payloads is not PayloadPolicy.FULL or exchange.opt_out != NO_OPT_OUT:
        return {}
    input_messages, output_messages = read_messages(exchange)
    return {
        name: _messages_json(messages)
        for name, messages in (
            ("gen_ai.input.messages", input_messages),
            ("gen_ai.output.messages", output_messages),
        )
        if messages
    }


def feedback_attributes(entry: Feedback) -> Attributes:
    """Return the attributes of a feedback event: neither author nor texts."""
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
    """Return the trace of an entry, or while that is unknown the id that it was given on."""
    return entry.trace_id or entry.subject_id


def error_type(exchange: Exchange) -> str | None:
    """Return the status or outcome of a failure, else None. A caller that left is none."""
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


def _messages_json(messages: Sequence[Message]) -> str:
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


def _shorten_message(message: Message, remaining: int) -> Message:
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
