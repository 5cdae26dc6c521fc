"""Calls whose format is not understood here: images, audio, files and whatever comes next."""

from __future__ import annotations

from gateway.wire.fields import parse_object, text_in
from gateway.wire.format import Answered, Asked


class OpaqueFormat:
    """A WireFormat that guesses nothing; it takes only a JSON request's `model`, called so everywhere."""

    def read_request(self, body: bytes) -> Asked:
        """Return the model that is asked for, if the request is JSON and says so."""
        if not body.startswith(b"{"):
            return Asked()
        return Asked(model=text_in(parse_object(body) or {}, "model"))

    def read_response(self, content_type: str, body: bytes) -> Answered:
        """Return nothing."""
        return Answered()

    def reassemble(self, content_type: str, body: bytes) -> None:
        """Return None."""


FORMAT = OpaqueFormat()
