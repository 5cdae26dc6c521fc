"""Facts of an exchange: its bodies decoded, and read by its format."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.models.exchange import Exchange, Outcome, declares_stream, first_value
from gateway.models.ids import is_valid_id
from gateway.models.request import Billing, Cost, Facts, Usage
from gateway.wire import formats
from gateway.wire.content_encoding import MAX_DECODED_BYTES, Decoded, decode
from gateway.wire.endpoints import RETRIEVAL_SUFFIXES, format_of
from gateway.wire.openai_realtime import CONNECTION_ENDPOINT

_FILE_PATH = re.compile(r"^(?:/|~/|\.{1,2}/|[A-Za-z]:[\\/])|[\\/].*\.(?:gguf|bin|safetensors|onnx)$")


def without_provider_prefix(exchange: Exchange, model: str | None) -> str | None:
    """Return the model without the provider, where the caller named both as `@provider/model`."""
    if model is None or not exchange.path.startswith("/v1/"):
        return model
    return model.removeprefix(f"@{exchange.provider}/")


def answering_model(requested: str | None, stated: str | None) -> str | None:
    """Return the model that answered."""
    # Servers of local models call it by the path of its file; the requested name is better.
    is_file = stated and requested and ("/" in stated or "\\" in stated) and _FILE_PATH.search(stated)
    return requested if is_file else stated


_REQUEST_IDS = (b"x-request-id", b"request-id")
_FIRST_ERROR_STATUS = 400
_GATEWAY_FAILURES = frozenset({Outcome.UPSTREAM_ERROR, Outcome.GATEWAY_ERROR})

# Exchange, names of the model (the best first), tokens, what else is billed.
CostOf = Callable[[Exchange, tuple[str | None, ...], Usage, Billing], Cost | None]


def _no_cost(exchange: Exchange, models: tuple[str | None, ...], usage: Usage, billing: Billing) -> None:
    return None


def read_facts(exchange: Exchange, cost_of: CostOf = _no_cost) -> Facts:
    """Return what the bytes of an exchange say. Raises nothing but what `cost_of` raises."""
    request = decode(exchange.request_body, exchange.request_headers)
    response = decode(exchange.response_body, exchange.response_headers)
    request_message = formats.WireMessage(exchange.path, exchange.request_headers, request.data)
    answer = formats.WireMessage(exchange.path, exchange.response_headers, response.data)
    wire_format = format_of(exchange.endpoint, answer.content_type, answer.body)
    request_facts = wire_format.read_request(request_message)
    response_facts = wire_format.read_response(answer)
    if exchange.response_size == 0 and _should_be_stream(exchange, wire_format):
        response_facts = formats.ResponseFacts(note=formats.ENDED_EARLY, has_ended=False)
    # Of what was packed the end may be missing too; not of what is more than is unpacked.
    is_whole = len(exchange.response_body) == exchange.response_size and (
        response.is_complete or 0 < len(response.data) < MAX_DECODED_BYTES
    )
    requested_model = without_provider_prefix(exchange, request_facts.model)
    model = answering_model(requested_model, response_facts.model)
    billing = _billing(exchange, request_facts, response_facts)
    caller, baggage = request_facts.caller, formats.read_baggage(exchange.request_headers)
    request_size, response_size = exchange.request_size, exchange.response_size
    if exchange.endpoint == CONNECTION_ENDPOINT:
        # Its bytes are counted only; what they say is in rows of their own.
        request_size, response_size = len(exchange.request_body), len(exchange.response_body)
    is_undeclared = response_facts.has_ended is not None and not declares_stream(exchange.response_headers)
    return Facts(
        requested_model=requested_model,
        model=model,
        usage=response_facts.usage,
        cost=cost_of(exchange, (model, requested_model), response_facts.usage, billing),
        response_id=response_facts.response_id,
        finish_reason=response_facts.finish_reason,
        user=caller.user or baggage.user,
        session=caller.session or baggage.session,
        previous_response_id=caller.previous_response_id,
        note=_join_notes(
            _note_on("request", request, exchange.request_body, request_size),
            request_facts.note,
            _note_on("response", response, exchange.response_body, response_size),
            response_facts.note,
        ),
        billing=billing,
        outcome=_outcome(exchange, response_facts, is_whole),
        is_stream=is_undeclared or None,
        other_response_ids=(*response_facts.other_ids, *_request_ids(exchange, response_facts)),
        is_retrieval=exchange.endpoint.endswith(RETRIEVAL_SUFFIXES),
    )


def _request_ids(exchange: Exchange, response_facts: formats.ResponseFacts) -> Iterator[str]:
    # SDKs show the provider's own id of the request (`_request_id`).
    for name in _REQUEST_IDS:
        text = first_value(exchange.response_headers, name).decode("utf-8", "surrogateescape")
        if text not in (response_facts.response_id, *response_facts.other_ids) and is_valid_id(text):
            yield text
            return


def _billing(exchange: Exchange, asked: formats.RequestFacts, said: formats.ResponseFacts) -> Billing:
    if not asked.units or said.has_failed or not _has_good_status(exchange):
        return said.billing
    return replace(said.billing, units={**asked.units, **said.billing.units})


def _outcome(exchange: Exchange, response_facts: formats.ResponseFacts, is_whole: bool) -> Outcome | None:
    # What the answer says goes before what the connection showed: a caller that leaves at a stream's last event or
    # at an error, as SDKs do, has missed nothing, and an answer with a stop reason is not cut.
    if exchange.outcome in _GATEWAY_FAILURES or not _has_good_status(exchange):
        return None
    outcome = exchange.outcome
    if response_facts.has_failed:
        outcome = Outcome.PROVIDER_ERROR
    elif response_facts.has_ended:
        outcome = Outcome.COMPLETE
    elif response_facts.has_ended is False and is_whole and outcome is Outcome.COMPLETE:
        outcome = Outcome.UPSTREAM_TRUNCATED
    return None if outcome is exchange.outcome else outcome


def _has_good_status(exchange: Exchange) -> bool:
    return exchange.status is not None and exchange.status < _FIRST_ERROR_STATUS


def _should_be_stream(exchange: Exchange, wire_format: formats.WireFormat) -> bool:
    is_good = exchange.outcome is Outcome.COMPLETE and _has_good_status(exchange)
    return is_good and wire_format is not formats.OPAQUE and declares_stream(exchange.response_headers)


def _join_notes(*notes: str | None) -> str | None:
    return "; ".join([note for note in notes if note]) or None


def _note_on(which: str, decoded: Decoded, kept: bytes, size_bytes: int) -> str | None:
    if len(kept) < size_bytes:
        return f"{len(kept)} of {size_bytes} bytes of the {which} were kept"
    if not decoded.is_complete:
        return f"the {which} could not be decompressed to its end"
    return None
