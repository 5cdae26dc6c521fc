"""What a wire format must be able to do, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from gateway.domain.exchange import RawHeaders, first_value
from gateway.domain.request import NOTHING_STATED, Billing, Usage
from gateway.domain.value import value
from gateway.wire.conversation import NOBODY, Caller
from gateway.wire.fields import JsonObject


@value()
class WireMessage:
    """One side of an exchange: its body with the content-encoding undone, and what names the call.

    Args:
        path: path and query as the caller sent them.
        headers: of this side.
        body: may be cut or garbled anywhere.
    """

    path: str
    headers: RawHeaders
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type with its parameters; empty without one."""
        return first_value(self.headers, b"content-type").decode("latin-1")


@value()
class Asked:
    """What a request says.

    Args:
        caller: who asks, in which conversation.
        note: what could not be understood, here and below.
        units: what a good answer is billed by though it does not say so; see `Charge`.
    """

    model: str | None = None
    caller: Caller = NOBODY
    note: str | None = None
    units: Mapping[str, float] = field(default_factory=dict)


@value()
class Answered:
    """What a response says.

    Args:
        billing: what decides the cost beside the tokens.
        has_failed: the provider states an error inside the answer.
        is_over: whether a stream came to its own end; None where the answer is no stream.
        other_ids: ids that were shown beside `response_id`.
    """

    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    response_id: str | None = None
    finish_reason: str | None = None
    note: str | None = None
    billing: Billing = NOTHING_STATED
    has_failed: bool = False
    is_over: bool | None = None
    other_ids: tuple[str, ...] = ()


class WireFormat(Protocol):
    """One kind of call as it looks on the wire. Nothing raises, whatever the bytes are."""

    def recognises(self, answer: JsonObject) -> bool:
        """Tell whether an answer, or a stream's first object, calls itself one of this format."""

    def read_request(self, request: WireMessage) -> Asked:
        """Return what the request says."""

    def read_response(self, response: WireMessage) -> Answered:
        """Return what the response says, streamed or not; which it is is judged by the response alone."""

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as the object that the provider would have sent unstreamed.

        None if it is not a stream of this format.
        """
