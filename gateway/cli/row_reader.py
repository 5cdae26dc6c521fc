"""Read rows from files of JSON lines or JSON arrays, plain or compressed, or tables, one row at a time."""

import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import chain
from typing import Any, cast

import orjson
import zstandard

from gateway.cli.table_reader import PARQUET_MAGIC, read_csv, read_parquet
from gateway.errors import BadInput
from gateway.wire.content_encoding import TruncatedInput, decompress_members

MAX_ROW_BYTES = 64 * 1024 * 1024

STDIN = "-"

_CHUNK_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# The window of `zstd --long=31`.
_MAX_ZSTD_WINDOW_BYTES = 2 * 1024 * 1024 * 1024

_HEAD_BYTES = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The beginning of a file of arrays, bare or as the data of a response.
_ARRAYS = re.compile(rb'\s*(?:\[|\{\s*(?:"error"\s*:\s*null\s*,\s*)?"data"\s*:\s*\[)')

# A string, which may be cut at the end of the buffer, or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[][{}]', re.DOTALL)
_QUOTE, _OPENING = ord('"'), b"[{"
_SEPARATORS = b" ,\t\r\n"

_CSV_NAME = re.compile(r"\.csv(?:\.gz|\.zst)?$", re.IGNORECASE)

_FORMATS_HINT = (
    "It must hold JSON, be a table named .csv, or be Parquet; JSON and tables may be packed by gzip or zstd."
)

# The line on which each row begins, and the row or its fault.
NumberedRows = Iterator[tuple[int, bytes | BadInput]]


def split_rows(chunks: Iterator[bytes]) -> NumberedRows:
    """Yield the rows of a file: JSON lines, JSON arrays, or responses `{"data": [...]}`, one after another."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    head = head.removeprefix(_BYTE_ORDER_MARK)
    chunks = chain([head], chunks)
    return _ArrayReader(chunks).rows() if _ARRAYS.match(head) else _split_lines(chunks)


def _split_lines(chunks: Iterator[bytes]) -> NumberedRows:
    number = 1
    parts: list[bytes] = []
    size = 0
    for chunk in chain(chunks, [b"\n"]):
        first, *others = chunk.split(b"\n")
        size += len(first)
        if size <= MAX_ROW_BYTES:
            parts.append(first)
        for line in others:
            if size > MAX_ROW_BYTES:
                yield number, _row_too_long()
            elif row := b"".join(parts).strip():
                yield number, row
            number += 1
            parts, size = [line], len(line)


class _ArrayReader:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = bytearray()
        self._line = 1

    def rows(self) -> NumberedRows:
        try:
            while self._enter_array():
                yield from self._items()
        except BadInput as error:
            self._skip(len(self._buffer) - len(self._buffer.lstrip(_SEPARATORS)))
            yield self._line, error

    def _enter_array(self) -> bool:
        while (at := self._buffer.find(b"[")) < 0:
            self._skip(len(self._buffer))
            if not self._read_more():
                return False
        self._skip(at + 1)
        return True

    def _items(self) -> NumberedRows:
        while True:
            start, end = self._find_item()
            if self._buffer[:start].strip(_SEPARATORS):
                yield self._line, BadInput("is not an object.", field="row")
            self._skip(start)
            if start == end:
                return
            size = end - start
            yield self._line, _row_too_long() if size > MAX_ROW_BYTES else bytes(self._buffer[:size])
            self._skip(size)

    def _find_item(self) -> tuple[int, int]:
        """Return the bounds of the next object or array; both are the array's end where there is no more."""
        depth = start = scanned = 0
        while True:
            for token in _TOKEN.finditer(self._buffer, scanned):
                kind = self._buffer[token.start()]
                if kind == _QUOTE:
                    if not self._is_closed(token.start(), token.end()):
                        break
                elif kind in _OPENING:
                    start = start if depth else token.start()
                    depth += 1
                elif depth == 0:
                    return token.start(), token.start()
                else:
                    depth -= 1
                    if depth == 0:
                        return start, token.end()
                scanned = token.end()
            if len(self._buffer) > MAX_ROW_BYTES:
                raise _row_too_long()
            if not self._read_more():
                raise BadInput("ends in the middle of an array.", hint="The file may be cut.")

    def _is_closed(self, start: int, end: int) -> bool:
        return end - start > 1 and self._buffer[end - 1] == _QUOTE

    def _read_more(self) -> bool:
        """Double the buffer; tell whether there was any more."""
        # Doubled, since a long row is scanned again after each call.
        buffered = len(self._buffer)
        while len(self._buffer) <= 2 * buffered and (chunk := next(self._chunks, None)) is not None:
            self._buffer.extend(chunk)
        return len(self._buffer) > buffered

    def _skip(self, end: int) -> None:
        self._line += self._buffer.count(b"\n", 0, end)
        del self._buffer[:end]


def _row_too_long() -> BadInput:
    return BadInput(f"is longer than {MAX_ROW_BYTES:,} bytes.", field="row")


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row or a fault, and the line on which it begins."""

    line: int
    row: Mapping[str, Any] = field(default_factory=dict)
    fault: BadInput | None = None


def read_rows(name: str) -> Iterator[FileRow]:
    """Yield the rows of a file, plain or compressed, or of standard input for `-`. Raises OSError."""
    line = 1
    with _open_file(name) as file:
        try:
            for line, found in _read_any(name, file):
                yield _parse_row(line, found)
        except (TruncatedInput, zlib.error, zstandard.ZstdError):
            yield FileRow(line, fault=BadInput("what follows is cut or damaged, and cannot be decompressed."))


def _open_file(name: str) -> AbstractContextManager[BufferedReader]:
    return nullcontext(cast(BufferedReader, sys.stdin.buffer)) if name == STDIN else open(name, "rb")


def _read_any(name: str, file: BufferedReader) -> Iterator[tuple[int, bytes | dict[str, Any] | BadInput]]:
    if file.peek(len(PARQUET_MAGIC)).startswith(PARQUET_MAGIC):
        return read_parquet(file)
    chunks = _read_chunks(file)
    head = next(chunks, b"")
    if b"\0" in head[:_HEAD_BYTES]:
        # Once, and not for each of what would be its lines.
        return iter([(1, BadInput("is no text in UTF-8.", field="file", hint=_FORMATS_HINT))])
    chunks = chain([head], chunks)
    return read_csv(chunks, MAX_ROW_BYTES) if _CSV_NAME.search(name) else split_rows(chunks)


def _parse_row(line: int, found: bytes | dict[str, Any] | BadInput) -> FileRow:
    if isinstance(found, BadInput):
        return FileRow(line, fault=found)
    if isinstance(found, dict):
        return FileRow(line, found)
    try:
        row = orjson.loads(found)
    except orjson.JSONDecodeError as error:
        is_table = line == 1 and not found.startswith((b"{", b"["))
        hint = "A table needs a name that ends in .csv." if is_table else None
        return FileRow(line, fault=BadInput(f"is not JSON: {error.msg}.", field="row", hint=hint))
    if not isinstance(row, dict):
        return FileRow(line, fault=BadInput("is not an object.", field="row"))
    return FileRow(line, row)


def _read_chunks(file: BufferedReader) -> Iterator[bytes]:
    chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
    head = file.peek(len(_ZSTD_MAGIC))
    if head.startswith(_GZIP_MAGIC):
        return decompress_members(lambda: zlib.decompressobj(wbits=31), chunks)
    if head.startswith(_ZSTD_MAGIC):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
        return decompress_members(decompressor.decompressobj, chunks)
    return chunks
