"""Content-encoding of a body undone: gzip, deflate, brotli, zstd, bounded."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import brotli
import zstandard

from gateway.models.exchange import RawHeaders, value_class

# As much as is kept by default of a body that was never packed.
MAX_DECODED_BYTES = 16 * 1024 * 1024

_MAX_CODINGS = 4
_MAX_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
# Input taken at a time, by what it can grow to: 4 MiB at deflate's 1:1032, 8 MiB in zstd's 4-byte blocks.
_SLICE_BYTES = 4096
_ZSTD_SLICE_BYTES = 256
# Output taken at a time: brotli's growth has no useful bound, but its decoder has a limit.
_BROTLI_OUTPUT_BYTES = 64 * 1024

_ByteIterator = Iterator[bytes]


@value_class()
class Decoded:
    """A body as it was before it was encoded; `is_complete` is False if some of it could not be read."""

    data: bytes
    is_complete: bool


def decode(body: bytes, headers: RawHeaders, max_bytes: int = MAX_DECODED_BYTES) -> Decoded:
    """Return a body with the codings that `headers` name undone, up to damage or `max_bytes`. Never raises."""
    encoding = header_value(headers, b"content-encoding")
    if not encoding:
        return Decoded(body, True)
    codings = [name.strip() for name in encoding.lower().split(",")]
    codings = [name for name in codings if name not in ("", "identity")]
    is_complete = True
    for coding in reversed(codings[-_MAX_CODINGS:]):
        body, is_whole = _decode_one(coding, body, max_bytes)
        is_complete = is_complete and is_whole
    if len(codings) > _MAX_CODINGS:
        return Decoded(b"", False)
    return Decoded(body, is_complete)


def decode_or_raw(body: bytes, headers: RawHeaders) -> bytes:
    """Return what `decode` can read of a body, or the body as it is where that is nothing."""
    return decode(body, headers).data or body


def header_value(headers: RawHeaders, name: bytes) -> str:
    """Return the values of the fields called `name` (lower case), joined by commas."""
    length = len(name)
    values = [value for key, value in headers if len(key) == length and key.lower() == name]
    return b",".join(values).decode("latin-1") if values else ""


class TruncatedInput(Exception):
    """The input ended before the coding did."""


class _Decoder(Protocol):
    """What zlib's and zstandard's decoders have in common."""

    def decompress(self, data: bytes, /) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


def _decode_one(coding: str, body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    if not body:
        return b"", True
    if coding not in _DECODERS:
        return b"", False
    pieces: list[bytes] = []
    left = max_bytes
    try:
        for piece in _DECODERS[coding](body):
            pieces.append(piece[:left])
            left -= len(piece)
            if left < 0:
                return b"".join(pieces), False
    except (TruncatedInput, zlib.error, brotli.error, zstandard.ZstdError):
        return b"".join(pieces), False
    return b"".join(pieces), True


def decompress_members(open_decoder: Callable[[], _Decoder], parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the parts of one or several compressed texts unpack to.

    Raises:
        TruncatedInput: the last text is not whole.
    """
    decoder = open_decoder()
    for part in parts:
        while part:
            if decoder.eof:
                decoder = open_decoder()
            yield decoder.decompress(part)
            part = decoder.unused_data
    if not decoder.eof:
        raise TruncatedInput


def _read_gzip(body: bytes) -> _ByteIterator:
    return decompress_members(lambda: zlib.decompressobj(wbits=31), _slices(body, _SLICE_BYTES))


def _read_deflate(body: bytes) -> _ByteIterator:
    # Some servers leave out the zlib header that the RFC asks for; its check bits tell.
    has_header = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    wbits = 15 if has_header else -15
    return decompress_members(lambda: zlib.decompressobj(wbits), _slices(body, _SLICE_BYTES))


def _read_zstd(body: bytes) -> _ByteIterator:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
    return decompress_members(decompressor.decompressobj, _slices(body, _ZSTD_SLICE_BYTES))


def _read_brotli(body: bytes) -> _ByteIterator:
    decoder = brotli.Decompressor()
    for part in _slices(body, _SLICE_BYTES):
        yield decoder.process(part, output_buffer_limit=_BROTLI_OUTPUT_BYTES)
        while not decoder.can_accept_more_data():
            yield decoder.process(b"", output_buffer_limit=_BROTLI_OUTPUT_BYTES)
    if not decoder.is_finished():
        raise TruncatedInput


def _slices(body: bytes, size_bytes: int) -> Iterator[bytes]:
    return (body[start : start + size_bytes] for start in range(0, len(body), size_bytes))


_DECODERS: Mapping[str, Callable[[bytes], _ByteIterator]] = {
    "gzip": _read_gzip,
    "x-gzip": _read_gzip,
    "deflate": _read_deflate,
    "br": _read_brotli,
    "zstd": _read_zstd,
}
