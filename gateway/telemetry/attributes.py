"""What requests and feedback are called in OpenTelemetry.

Source: OpenTelemetry, semantic conventions for generative AI: spans, and the event `gen_ai.evaluation.result`. What
they have no name for is under `gateway.`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import orjson

from gateway.domain.exchange import NOTHING_OMITTED, Exchange, Outcome, PayloadPolicy
from gateway.domain.feedback import Feedback
from gateway.domain.request import NANO, Facts
from gateway.wire.messages import Message, read_messages

Value = str | bool | int | float | Sequence[str]
Attributes = dict[str, Value]

EVALUATION = "gen_ai.evaluation.result"
"""Name of the event that a version of feedback is."""

MOST_CHARACTERS = 64_000
"""Of the messages of one side, as JSON."""

_VERSIONED = re.compile(r"(.+)@(v?[0-9][0-9A-Za-z.-]*)")

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
    """Return `chat MODEL` and the like; the method, where it is no kind of call that is known."""
    operation = _OPERATIONS.get(exchange.endpoint)
    if operation is None:
        return exchange.method
    model = facts.requested_model or facts.model
    return f"{operation} {model}" if model else operation


def of_request(exchange: Exchange, facts: Facts) -> Attributes:
    """Return what is told of a request."""
    usage, metadata = facts.usage, exchange.identity.metadata
    first_byte_us = exchange.first_byte_at_us
    session = _text(metadata.get("_session")) or facts.session
    user = _text(metadata.get("_user")) or facts.user
    prompt = _text(metadata.get("_prompt"))
    prompt_name, prompt_version = _prompt(prompt)
    cost_usd = None if facts.cost is None else facts.cost.nanousd / NANO
    return _known(
        {
            "gen_ai.operation.name": _OPERATIONS.get(exchange.endpoint),
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


def of_messages(exchange: Exchange) -> Attributes:
    """Return what was asked and answered, as JSON; nothing of an exchange that is not kept whole."""
    if exchange.payloads is not PayloadPolicy.FULL or exchange.omission != NOTHING_OMITTED:
        return {}
    asked, answered = read_messages(exchange)
    return {
        name: _as_json(messages)
        for name, messages in (("gen_ai.input.messages", asked), ("gen_ai.output.messages", answered))
        if messages
    }


def of_feedback(entry: Feedback) -> Attributes:
    """Return what is told of a version of an entry. Who judged and what they wrote is not."""
    return _known(
        {
            "gen_ai.evaluation.name": entry.metric or entry.kind.value,
            "gen_ai.evaluation.score.value": entry.score,
            "gen_ai.evaluation.score.label": label_of(entry.score),
            "gateway.feedback_id": entry.feedback_id,
            "gateway.feedback.version": entry.version,
            "gateway.feedback.is_withdrawn": entry.deleted_at_us is not None,
            "gateway.feedback.value": entry.value,
            "gateway.feedback.weight": entry.weight,
            "gateway.feedback.source": entry.source.value,
            "gateway.feedback.dialect": entry.dialect,
            "gateway.trace_id": trace_of(entry),
            "gateway.request_id": entry.request_id,
            "gateway.key_name": entry.key_name,
            "gateway.tenant": entry.tenant,
        }
    )


def trace_of(entry: Feedback) -> str:
    """Return the trace that an entry is about, or where that is not known yet the id that it was given for."""
    return entry.trace_id or entry.subject_id


def error_type(exchange: Exchange) -> str | None:
    """Return what went wrong: the status of an error, or how it ended; None if nothing did. That a caller left is
    no error."""
    if exchange.outcome not in (Outcome.COMPLETE, Outcome.CLIENT_CLOSED):
        return exchange.outcome.value
    return str(exchange.status) if exchange.status is not None and exchange.status >= 400 else None


def label_of(score: float | None) -> str | None:
    """Return what a score says in a word."""
    if score is None:
        return None
    return "positive" if score > 0 else "negative" if score < 0 else "neutral"


def _prompt(prompt: str | None) -> tuple[str | None, str | None]:
    """Name and version of a prompt that is written with both, as `NAME@VERSION`."""
    versioned = _VERSIONED.fullmatch(prompt or "")
    return (prompt, None) if versioned is None else (versioned[1], versioned[2])


def _as_json(messages: Sequence[Message]) -> str:
    """The last messages as far as there is room for them, since spans wait in memory."""
    room = MOST_CHARACTERS
    written: list[str] = []
    for message in reversed(messages):
        text = orjson.dumps(message).decode()
        if len(text) > room:
            written.append(orjson.dumps(_shortened(message, room)).decode())
            break
        room -= len(text)
        written.append(text)
    return f"[{','.join(reversed(written))}]"


def _shortened(message: Message, room: int) -> Message:
    """The first parts of a message as far as there is room for them."""
    parts = []
    for part in message["parts"]:
        room -= len(orjson.dumps(part))
        if room < 0:
            break
        parts.append(part)
    return {**message, "parts": parts}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _known(values: Mapping[str, Value | None]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
