"""Calls whose format is not understood here: files, batches, video and whatever comes next."""

from __future__ import annotations

from gateway.wire.endpoint import model_in_path
from gateway.wire.fields import JsonObject, parse_object, text_in
from gateway.wire.format import Answered, Asked, WireMessage


class OpaqueFormat:
    """A WireFormat that guesses nothing; it takes only the model that the request's body or path names."""

    def recognises(self, answer: JsonObject) -> bool:
        """Return False: nothing calls itself one of no format."""
        return False

    def read_request(self, request: WireMessage) -> Asked:
        """Return the model that is asked for, if the request says so."""
        asked = parse_object(request.body) if request.body.startswith(b"{") else None
        model = text_in(asked, "model") or text_in(asked, "model_id") if asked else None
        return Asked(model=model or model_in_path(request.path))

    def read_response(self, response: WireMessage) -> Answered:
        """Return nothing."""
        return Answered()

    def reassemble(self, content_type: str, body: bytes) -> None:
        """Return None."""


FORMAT = OpaqueFormat()
