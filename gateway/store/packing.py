"""Headers and bodies as they are kept: headers as JSON text, bodies compressed where that makes them
smaller."""

from __future__ import annotations

import orjson
import zstandard

from gateway.domain.exchange import RawHeaders

PLAIN = "plain"
ZSTD = "zstd"
OMITTED = "omitted"
"""Codec of a body that was not kept, and whose head was not either."""

_LEVEL = 1
"""Chat bodies of a kilobyte come out no larger than at level 3, which takes longer."""

_WORTH_TRYING = 128
"""Bodies shorter than this, in bytes, gain nothing from compression."""


class BodyPacker:
    """Packs bodies with one reused compressor; for one thread at a time."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL)

    def pack(self, body: bytes) -> tuple[str, bytes]:
        """Return the codec and the bytes to keep: a zstd frame (RFC 8878), or the body where that is
        smaller."""
        if len(body) < _WORTH_TRYING:
            return PLAIN, body
        packed = self._zstd.compress(body)
        return (ZSTD, packed) if len(packed) < len(body) else (PLAIN, body)


def unpack(codec: str, kept: bytes) -> bytes:
    """Return the body that `BodyPacker.pack` was given."""
    return zstandard.ZstdDecompressor().decompress(kept) if codec == ZSTD else kept


def headers_to_json(headers: list[tuple[bytes, bytes]]) -> str:
    """Return header fields as a JSON array of [name, value]; each byte becomes the Latin-1 character of its
    number, so that any byte survives (RFC 9110, section 5.5, on obsolete text)."""
    return orjson.dumps(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    ).decode()


def headers_from_json(text: str) -> RawHeaders:
    """Return the header fields that `headers_to_json` was given."""
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in orjson.loads(text))
