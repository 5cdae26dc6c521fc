"""From an exchange to facts: find its format, undo what its bodies are wrapped in, let the format read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from gateway.domain.exchange import Exchange
from gateway.domain.json_volume import holds_too_much
from gateway.domain.request import Facts
from gateway.wire import anthropic, opaque, openai_chat, openai_embeddings, openai_responses
from gateway.wire.content import Decoded, decode, header_value
from gateway.wire.format import WireFormat

FORMATS: Mapping[str, WireFormat] = MappingProxyType(
    {
        "chat.completions": openai_chat.FORMAT,
        "completions": openai_chat.FORMAT,
        "responses": openai_responses.FORMAT,
        "embeddings": openai_embeddings.FORMAT,
        "messages": anthropic.FORMAT,
    }
)
"""Formats by endpoint, as `endpoint_of` names it. Any other endpoint is opaque."""


def read_facts(exchange: Exchange) -> Facts:
    """Return what the bytes of an exchange say, which is all of Facts but the cost. Never raises."""
    wire_format = FORMATS.get(exchange.endpoint, opaque.FORMAT)
    request = decode(exchange.request_body, exchange.request_headers)
    response = decode(exchange.response_body, exchange.response_headers)
    asked = wire_format.read_request(request.data)
    content_type = header_value(exchange.response_headers, b"content-type")
    answered = wire_format.read_response(content_type, response.data)
    notes = (
        _note_on("request", request, exchange.request_body, exchange.request_size),
        asked.note,
        _note_on("response", response, exchange.response_body, exchange.response_size),
        answered.note,
    )
    return Facts(
        requested_model=asked.model,
        model=answered.model,
        usage=answered.usage,
        response_id=answered.response_id,
        finish_reason=answered.finish_reason,
        user=asked.user,
        note="; ".join(note for note in notes if note) or None,
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
    whole = FORMATS.get(endpoint, opaque.FORMAT).reassemble(content_type, body)
    try:
        orjson.dumps(whole)
    except orjson.JSONEncodeError:
        # orjson reads deeper than it writes, and whoever gets this will want to write it.
        return None
    return whole


def _note_on(which: str, decoded: Decoded, kept: bytes, size_bytes: int) -> str | None:
    if len(kept) < size_bytes:
        return f"{len(kept)} of {size_bytes} bytes of the {which} were kept"
    if not decoded.is_complete:
        return f"the {which} could not be decompressed to its end"
    return None
