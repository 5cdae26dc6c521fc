"""Bodies as they are stored: codecs, and compression with a dictionary of what all wire formats repeat."""

import threading
from functools import cache
from importlib.resources import files
from typing import Protocol

import zstandard

from gateway.models.exchange import RawHeaders

PLAIN = "plain"
# A zstd frame (RFC 8878).
ZSTD = "zstd"
# One that needs the dictionary whose id it has; all of them are in the table `body_dictionaries` too.
ZSTD_DICTIONARY = "zdict"
# Codec of a body that was not kept, and whose head was not either.
OMITTED = "omitted"

# Chat bodies of a kilobyte come out no larger than at level 3, which takes longer.
_ZSTD_LEVEL = 1

# Bodies shorter than this, in bytes, gain nothing from compression.
_MIN_COMPRESSED_BYTES = 128

# Below this, in bytes, the dictionary makes bodies a fourth to a half smaller in less than half of the time.
_MAX_DICTIONARY_BYTES = 32 * 1024


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    dictionary = zstandard.ZstdCompressionDict(read_dictionary())
    dictionary.precompute_compress(level=_ZSTD_LEVEL)
    return dictionary


def read_dictionary() -> bytes:
    """Return the dictionary that bodies are packed with; its id is in the bytes."""
    # Of the formats, not of the traffic: one that was trained on bodies would keep parts of those that were erased.
    # It never changes, since stored bodies cannot be read without it; a better one would get another id.
    return files("gateway.store").joinpath("body_dictionary.bin").read_bytes()


class Packer(Protocol):
    """Makes the columns that hold a body."""

    # Names of the columns, without that of the side before them.
    columns: tuple[str, ...]
    # Columns of a request that its payload repeats, for partitions.
    copied_columns: tuple[str, ...]
    # Values of a body that may not be kept.
    omitted: tuple[str | bytes | None, ...]

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str | bytes | None, ...]:
        """Return the values of a body that came with these headers."""


class BodyPacker(Packer):
    """Packs bodies with reused compressors; for one thread. Without a dictionary any zstd reads what it packs."""

    columns = ("codec", "body")
    copied_columns = ()
    omitted = (OMITTED, b"")

    def __init__(self, *, with_dictionary: bool = True) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        self._with_dictionary = None
        if with_dictionary:
            self._with_dictionary = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, dict_data=_dictionary())

    def pack(self, body: bytes, headers: RawHeaders = ()) -> tuple[str, bytes]:
        """Return codec and bytes: a zstd frame, or the body if that is smaller."""
        if len(body) < _MIN_COMPRESSED_BYTES:
            return PLAIN, body
        if self._with_dictionary is not None and len(body) <= _MAX_DICTIONARY_BYTES:
            codec, packed = ZSTD_DICTIONARY, self._with_dictionary.compress(body)
        else:
            codec, packed = ZSTD, self._zstd.compress(body)
        return (codec, packed) if len(packed) < len(body) else (PLAIN, body)


def unpack_body(codec: str, kept: bytes) -> bytes:
    if codec == ZSTD:
        return _decompressors.plain.decompress(kept)
    return _decompressors.with_dictionary.decompress(kept) if codec == ZSTD_DICTIONARY else kept


class _Decompressors(threading.local):
    # Making one costs more than its work on a body, and no two threads may use it at once.

    def __init__(self) -> None:
        self.plain = zstandard.ZstdDecompressor()
        self.with_dictionary = zstandard.ZstdDecompressor(dict_data=_dictionary())


_decompressors = _Decompressors()
