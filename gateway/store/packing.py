"""Headers and bodies as they are kept: headers as JSON text, bodies compressed where that makes them
smaller."""

from __future__ import annotations

import codecs
from typing import Protocol

import orjson
import zstandard

from gateway.domain.exchange import RawHeaders
from gateway.store.text import storable

PLAIN = "plain"
ZSTD = "zstd"
OMITTED = "omitted"
"""Codec of a body that was not kept, and whose head was not either."""

_LEVEL = 1
"""Chat bodies of a kilobyte come out no larger than at level 3, which takes longer."""

_FROM_UTF_8 = codecs.getincrementaldecoder("utf-8")

_WORTH_TRYING = 128
"""Bodies shorter than this, in bytes, gain nothing from compression."""


class Packer(Protocol):
    """What makes the columns that hold a body."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns are called, each behind the name of its side."""

    @property
    def repeated(self) -> tuple[str, ...]:
        """The columns of a request that its payload repeats, to lie where it can be found and dropped."""

    @property
    def omitted(self) -> tuple[str | bytes | None, ...]:
        """The columns of a body that may not be kept."""

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str | bytes | None, ...]:
        """Return the columns of a body that came with these header fields."""


class BodyPacker(Packer):
    """Packs bodies with one reused compressor; for one thread at a time."""

    columns = ("codec", "body")
    repeated = ()
    omitted = (OMITTED, b"")

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL)

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str, bytes]:
        """Return the codec and the bytes to keep: a zstd frame (RFC 8878), or the body where that is
        smaller."""
        if len(body) < _WORTH_TRYING:
            return PLAIN, body
        packed = self._zstd.compress(body)
        return (ZSTD, packed) if len(packed) < len(body) else (PLAIN, body)


def unpack(codec: str, kept: bytes) -> bytes:
    """Return the body that `BodyPacker.pack` was given."""
    return zstandard.ZstdDecompressor().decompress(kept) if codec == ZSTD else kept


def text_of(body: bytes) -> str | None:
    """Return a body as text that can be searched; None where it is empty or no UTF-8."""
    try:
        # A cut may fall inside a character; what is left of it is no reason to call the rest binary.
        return storable(_FROM_UTF_8().decode(body)) or None
    except UnicodeDecodeError:
        return None


def headers_to_json(headers: list[tuple[bytes, bytes]]) -> str:
    """Return header fields as a JSON array of [name, value]; each byte becomes the Latin-1 character of its
    number, so that any byte survives (RFC 9110, section 5.5, on obsolete text)."""
    return orjson.dumps(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    ).decode()


def headers_from_json(text: str) -> RawHeaders:
    """Return the header fields that `headers_to_json` was given."""
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in orjson.loads(text))
