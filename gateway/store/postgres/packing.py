"""Bodies as they are kept: as text, which can be searched, and as bytes only where the text does not give them."""

from __future__ import annotations

from gateway.domain.exchange import RawHeaders
from gateway.store.base import Decode
from gateway.store.packing import OMITTED, BodyPacker, Packer, text_of

TEXT = "text"
"""Codec of a body that is its text, in UTF-8. The database compresses it by itself."""


class TextPacker(Packer):
    """Packs bodies with their texts; for one thread at a time.

    Args:
        decode: undoes the content-encoding.
    """

    columns = ("codec", "body", "text")
    repeated = ("started_at_us",)
    omitted = (OMITTED, b"", None)

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._bytes = BodyPacker()

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str | bytes | None, ...]:
        """Return codec, bytes and text of a body."""
        text = text_of(self._decode(body, headers))
        if text is not None and text.encode() == body:
            return TEXT, b"", text
        return (*self._bytes.pack(body), text)
