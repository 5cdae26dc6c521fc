"""From an exchange to facts: find its format, undo what its bodies are wrapped in, let the format read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import orjson

from gateway.domain.exchange import Exchange, Outcome, declares_stream, first_value
from gateway.domain.ids import is_valid_id
from gateway.domain.json_volume import holds_too_much
from gateway.domain.request import Billing, Cost, Facts, Usage
from gateway.wire import (
    anthropic,
    anthropic_batches,
    bedrock,
    bedrock_invoke,
    cohere,
    dashscope,
    ernie,
    gemini,
    gemini_interactions,
    ollama,
    opaque,
    openai_chat,
    openai_embeddings,
    openai_media,
    openai_responses,
    replicate,
    text_generation,
)
from gateway.wire.content import MAX_DECODED_BYTES, Decoded, decode
from gateway.wire.conversation import read_baggage
from gateway.wire.fields import JsonObject, parse_object
from gateway.wire.format import Answered, Asked, WireFormat, WireMessage
from gateway.wire.framing import read_framing
from gateway.wire.json_format import ENDED_EARLY
from gateway.wire.model_names import answering_model, requested_model

FORMATS: Mapping[str, WireFormat] = MappingProxyType(
    {
        "chat.completions": openai_chat.FORMAT,
        "chat.completions.retrieve": openai_chat.FORMAT,
        "completions": openai_chat.FORMAT,
        "responses": openai_responses.FORMAT,
        "responses.compact": openai_responses.FORMAT,
        "responses.retrieve": openai_responses.FORMAT,
        "responses.count_tokens": opaque.FORMAT,
        "embeddings": openai_embeddings.FORMAT,
        "rerank": openai_embeddings.FORMAT,
        "messages": anthropic.FORMAT,
        "messages.batches": anthropic_batches.FORMAT,
        "messages.batches.retrieve": anthropic_batches.FORMAT,
        "messages.batches.results": anthropic_batches.RESULTS,
        "messages.count_tokens": opaque.FORMAT,
        "images": openai_media.FORMAT,
        "audio.transcriptions": openai_media.FORMAT,
        "audio.translations": openai_media.FORMAT,
        "audio.speech": openai_media.FORMAT,
        "moderations": openai_media.FORMAT,
        "ocr": openai_media.FORMAT,
        "cohere.chat": cohere.FORMAT,
        "cohere.generate": cohere.FORMAT,
        "cohere.classify": cohere.FORMAT,
        "cohere.embed": openai_embeddings.FORMAT,
        "dashscope.generation": dashscope.FORMAT,
        "dashscope.tasks.retrieve": dashscope.FORMAT,
        "watsonx.generation": text_generation.WATSONX,
        "tgi.generate": text_generation.TGI,
        "ernie.chat": ernie.FORMAT,
        "predictions": replicate.FORMAT,
        "predictions.retrieve": replicate.FORMAT,
        "gemini.generate": gemini.FORMAT,
        "gemini.embed": gemini.FORMAT,
        "gemini.count_tokens": gemini.FORMAT,
        "gemini.interactions": gemini_interactions.FORMAT,
        "ollama.chat": ollama.FORMAT,
        "ollama.generate": ollama.FORMAT,
        "ollama.embed": ollama.EMBED_FORMAT,
        "bedrock.converse": bedrock.FORMAT,
        "bedrock.invoke": bedrock_invoke.FORMAT,
        "bedrock.count_tokens": opaque.FORMAT,
    }
)
"""Formats by endpoint, as `endpoint_of` names it. Any other endpoint is told by what its answer calls itself."""

_RECOGNISABLE: tuple[WireFormat, ...] = (
    anthropic.FORMAT,
    anthropic_batches.FORMAT,
    anthropic_batches.RESULTS,
    openai_responses.FORMAT,
    openai_chat.FORMAT,
    openai_embeddings.FORMAT,
    openai_media.FORMAT,
    cohere.FORMAT,
    dashscope.FORMAT,
    ernie.FORMAT,
    text_generation.WATSONX,
    text_generation.TGI,
    gemini.FORMAT,
    ollama.FORMAT,
    bedrock.FORMAT,
)
"""Formats that an answer may call itself; the first that recognises it is taken."""

_SHARED = frozenset({"cohere.chat", "cohere.generate", "tgi.generate"})
"""Endpoints whose path is also that of a format of somebody else's, such as Writer's `/v1/chat`."""

RETRIEVALS = (".retrieve", ".results")
"""How endpoints end whose answers were given, or begun, by another request before."""

_REQUEST_IDS = (b"x-request-id", b"request-id")
_MAX_STATUS = 400
_FAILED_HERE = frozenset({Outcome.UPSTREAM_ERROR, Outcome.GATEWAY_ERROR})


CostOf = Callable[[Exchange, tuple[str | None, ...], Usage, Billing], Cost | None]
"""Tells what an exchange cost, given what its model is called, the best name first."""


def _unpriced(exchange: Exchange, models: tuple[str | None, ...], usage: Usage, billing: Billing) -> None:
    return None


def read_facts(exchange: Exchange, cost_of: CostOf = _unpriced) -> Facts:
    """Return what the bytes of an exchange say. Never raises what `cost_of` does not."""
    request = decode(exchange.request_body, exchange.request_headers)
    response = decode(exchange.response_body, exchange.response_headers)
    question = WireMessage(exchange.path, exchange.request_headers, request.data)
    answer = WireMessage(exchange.path, exchange.response_headers, response.data)
    wire_format = _format_at(exchange.endpoint, answer.body) or format_of(
        exchange.endpoint, answer.content_type, answer.body
    )
    asked = wire_format.read_request(question)
    answered = wire_format.read_response(answer)
    if exchange.response_size == 0 and _should_be_stream(exchange, wire_format):
        answered = Answered(note=ENDED_EARLY, is_over=False)
    # Of what was packed the end may be missing too; not of what is more than is unpacked.
    is_whole = len(exchange.response_body) == exchange.response_size and (
        response.is_complete or 0 < len(response.data) < MAX_DECODED_BYTES
    )
    asked = replace(asked, model=requested_model(exchange, asked.model))
    model, billing = answering_model(asked, answered), _billing(exchange, asked, answered)
    caller, baggage = asked.caller, read_baggage(exchange.request_headers)
    return Facts(
        requested_model=asked.model,
        model=model,
        usage=answered.usage,
        cost=cost_of(exchange, (model, asked.model), answered.usage, billing),
        response_id=answered.response_id,
        finish_reason=answered.finish_reason,
        user=caller.user or baggage.user,
        session=caller.session or baggage.session,
        previous_response_id=caller.previous_response_id,
        note=_note(exchange, request, asked.note, response, answered.note),
        billing=billing,
        outcome=_outcome(exchange, answered, is_whole),
        is_stream=_is_undeclared_stream(exchange, answered) or None,
        other_response_ids=(*answered.other_ids, *_request_ids(exchange, answered)),
        is_retrieval=exchange.endpoint.endswith(RETRIEVALS),
    )


def format_of(endpoint: str, content_type: str, body: bytes) -> WireFormat:
    """Return the format of an answer: its endpoint's, or else the one that it calls itself."""
    return (
        _format_at(endpoint, body)
        or _recognised(content_type, body)
        or FORMATS.get(endpoint)
        or opaque.FORMAT
    )


def reassemble(endpoint: str, content_type: str, body: bytes) -> object | None:
    """Return a streamed answer as the one JSON object that the provider would have sent unstreamed.

    A stream that was cut gives what had arrived. None if the body is not a stream of a known format, holds
    too much, or is nested too deeply to be written as JSON again. Never raises.

    Args:
        endpoint: as `endpoint_of` names it.
        content_type: of the response.
        body: of the response, its content-encoding undone (see `content.decode`).
    """
    if holds_too_much(body):
        return None
    whole = format_of(endpoint, content_type, body).reassemble(content_type, body)
    try:
        orjson.dumps(whole)
    except orjson.JSONEncodeError:
        # orjson reads deeper than it writes, and whoever gets this will want to write it.
        return None
    return whole


def _format_at(endpoint: str, body: bytes) -> WireFormat | None:
    """The format of an endpoint; None where providers have several at its path, such that the answer tells."""
    is_shared = endpoint in _SHARED or (endpoint == "chat.completions" and b'"choices"' not in body)
    return None if is_shared else FORMATS.get(endpoint)


def _recognised(content_type: str, body: bytes) -> WireFormat | None:
    opening = _opening(content_type, body)
    if opening is None:
        return None
    return next((known for known in _RECOGNISABLE if known.recognises(opening)), None)


def _opening(content_type: str, body: bytes) -> JsonObject | None:
    """The answer, or the first object of a stream."""
    if not body:
        return None
    stream = read_framing(content_type, body)
    if stream is None:
        return parse_object(body) if body.lstrip()[:1] == b"{" else None
    parsed = (parse_object(data) for _, data in stream.arrived)
    return next((opening for opening in parsed if opening is not None), None)


def _request_ids(exchange: Exchange, answered: Answered) -> Iterator[str]:
    """The provider's own id of the request, which SDKs show too (`_request_id`)."""
    for name in _REQUEST_IDS:
        text = first_value(exchange.response_headers, name).decode("utf-8", "surrogateescape")
        if text not in (answered.response_id, *answered.other_ids) and is_valid_id(text):
            yield text
            return


def _billing(exchange: Exchange, asked: Asked, answered: Answered) -> Billing:
    if not asked.units or answered.has_failed or exchange.status is None or exchange.status >= _MAX_STATUS:
        return answered.billing
    return replace(answered.billing, units={**asked.units, **answered.billing.units})


def _outcome(exchange: Exchange, answered: Answered, is_whole: bool) -> Outcome | None:
    """How it ended by what the answer says, which goes before what the connection showed.

    A caller that leaves at a stream's last event, or at an error in it, as SDKs do, has missed nothing; and an
    answer whose stop reason has come is not cut, whoever hung up first.
    """
    if exchange.status is None or exchange.status >= _MAX_STATUS or exchange.outcome in _FAILED_HERE:
        return None
    outcome = exchange.outcome
    if answered.has_failed:
        outcome = Outcome.PROVIDER_ERROR
    elif answered.is_over:
        outcome = Outcome.COMPLETE
    elif answered.is_over is False and is_whole and outcome is Outcome.COMPLETE:
        outcome = Outcome.UPSTREAM_TRUNCATED
    return None if outcome is exchange.outcome else outcome


def _should_be_stream(exchange: Exchange, wire_format: WireFormat) -> bool:
    is_good = exchange.outcome is Outcome.COMPLETE and (exchange.status or _MAX_STATUS) < _MAX_STATUS
    return is_good and wire_format is not opaque.FORMAT and declares_stream(exchange.response_headers)


def _is_undeclared_stream(exchange: Exchange, answered: Answered) -> bool:
    return answered.is_over is not None and not declares_stream(exchange.response_headers)


def _note(
    exchange: Exchange, request: Decoded, asked: str | None, response: Decoded, answered: str | None
) -> str | None:
    if not (asked or answered) and request.is_complete and response.is_complete and _is_kept(exchange):
        return None
    notes = [
        _note_on("request", request, exchange.request_body, exchange.request_size),
        asked,
        _note_on("response", response, exchange.response_body, exchange.response_size),
        answered,
    ]
    return "; ".join([note for note in notes if note]) or None


def _is_kept(exchange: Exchange) -> bool:
    return (
        len(exchange.request_body) == exchange.request_size
        and len(exchange.response_body) == exchange.response_size
    )


def _note_on(which: str, decoded: Decoded, kept: bytes, size_bytes: int) -> str | None:
    if len(kept) < size_bytes:
        return f"{len(kept)} of {size_bytes} bytes of the {which} were kept"
    if not decoded.is_complete:
        return f"the {which} could not be decompressed to its end"
    return None
