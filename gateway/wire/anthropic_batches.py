"""Anthropic's batches of messages: what was begun, and its results, one message a line.

Sources: https://docs.anthropic.com/en/api/creating-message-batches and /retrieving-message-batch-results; the types
of the SDK `anthropic` 2.14.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from gateway.domain.request import Billing, Charge
from gateway.wire import anthropic
from gateway.wire.endpoint import model_in_path
from gateway.wire.fields import MAX_TEXT, JsonObject, object_in, objects_in, parse_object, text_in
from gateway.wire.format import Answered, Asked, WireMessage
from gateway.wire.json_format import JsonFormat, error_message, states_error, unreadable
from gateway.wire.openai_usage import add_usage
from gateway.wire.prices import without
from gateway.wire.sse import MAX_EVENTS, Stream

_BATCH_IN_PATH = re.compile(r"/batches/([^/?]+)/results(?:[/?]|$)")
_MODEL = "model"


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer is a batch."""
    return answer.get("type") == "message_batch"


def read_answer(answer: JsonObject) -> Answered:
    """Return what a batch, a list of batches, or an error in its place, says."""
    return Answered(
        response_id=text_in(answer, "id"), note=error_message(answer), has_failed=states_error(answer)
    )


def read_stream(stream: Stream) -> Answered:
    """Return nothing but a note: a batch is no stream."""
    return Answered(note="a batch came as a stream of events", is_over=True)


def rebuild(events: list[JsonObject]) -> None:
    """Return None: a batch is no stream."""


class _BatchFormat(JsonFormat):
    def read_request(self, request: WireMessage) -> Asked:
        """Return the model that all of the batch's requests ask for."""
        asked = parse_object(request.body) or {}
        models = {text_in(object_in(one, "params"), _MODEL) for one in objects_in(asked, "requests")}
        return Asked(model=models.pop() if len(models) == 1 else model_in_path(request.path))


class BatchResultsFormat:
    """The WireFormat of results: usage is the sum over all messages, each at the batch price of its own model."""

    def recognises(self, answer: JsonObject) -> bool:
        """Tell whether an answer's first line is a result."""
        return "custom_id" in answer and "type" in object_in(answer, "result")

    def read_request(self, request: WireMessage) -> Asked:
        """Return nothing: the call names a batch, and no model."""
        return Asked()

    def read_response(self, response: WireMessage) -> Answered:
        """Return what all results say. An error in their place is noted."""
        found = _BATCH_IN_PATH.search(response.path)
        batch_id = unquote(found[1]) if found else None
        lines = [parse_object(line) for line in response.body.split(b"\n", MAX_EVENTS)[:MAX_EVENTS]]
        parsed = [line for line in lines if line is not None]
        if len(parsed) == 1 and states_error(parsed[0]) and "custom_id" not in parsed[0]:
            return Answered(note=error_message(parsed[0]), has_failed=True)
        if response.body.strip() and not parsed:
            return Answered(note=unreadable("response", response.body))
        messages = [
            message for line in parsed if (message := object_in(object_in(line, "result"), "message"))
        ]
        charges = _add_charges(charge for message in messages for charge in _charges_of(message))
        own, others = (charges[0], charges[1:]) if charges else (Charge(), ())
        return Answered(
            model=own.model,
            usage=add_usage(charge.usage for charge in charges),
            response_id=batch_id if batch_id and len(batch_id) <= MAX_TEXT else None,
            billing=Billing(units=own.units, terms=own.terms, others=tuple(others)),
        )

    def reassemble(self, content_type: str, body: bytes) -> None:
        """Return None: results are no stream."""


def _charges_of(message: JsonObject) -> list[Charge]:
    answered = anthropic.read_answer(message)
    beside = answered.billing.others
    own = without(answered.usage, [charge.usage for charge in beside])
    return [
        Charge(answered.model, own, answered.billing.units, answered.billing.terms),
        *(Charge(each.model or answered.model, each.usage, each.units, each.terms) for each in beside),
    ]


def _add_charges(charges: Iterable[Charge]) -> list[Charge]:
    """Return one charge for each model and terms. All have the batch price, whether they say so or not."""
    alike: dict[tuple[object, ...], list[Charge]] = {}
    for charge in charges:
        terms = dict(charge.terms) | {"processing": "batch"}
        alike.setdefault((charge.model, *sorted(terms.items())), []).append(charge)
    return [_sum(found) for found in alike.values()]


def _sum(charges: list[Charge]) -> Charge:
    units: dict[str, float] = {}
    for charge in charges:
        for name, count in charge.units.items():
            units[name] = units.get(name, 0) + count
    terms = dict(charges[0].terms) | {"processing": "batch"}
    return Charge(charges[0].model, add_usage(charge.usage for charge in charges), units, terms)


FORMAT = _BatchFormat(recognises, read_answer, read_stream, rebuild)
RESULTS = BatchResultsFormat()
