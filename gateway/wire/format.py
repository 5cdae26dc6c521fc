"""What a wire format must be able to do, and what it finds."""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from gateway.domain.request import Usage
from gateway.domain.value import value
from gateway.wire.fields import JsonObject


@value()
class Asked:
    """What a request's body says. `note` tells what could not be understood, here and below."""

    model: str | None = None
    user: str | None = None
    note: str | None = None


@value()
class Answered:
    """What a response's body says."""

    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    response_id: str | None = None
    finish_reason: str | None = None
    note: str | None = None


class WireFormat(Protocol):
    """One kind of call as it looks on the wire.

    Bodies come with their content-encoding undone. They may be cut or garbled anywhere; nothing raises.
    """

    def read_request(self, body: bytes) -> Asked:
        """Return what the request says."""

    def read_response(self, content_type: str, body: bytes) -> Answered:
        """Return what the response says, streamed or not; which it is is judged by the response alone."""

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as the object that the provider would have sent unstreamed.

        None if it is not a stream of this format.
        """
