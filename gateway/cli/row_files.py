"""Files of rows: opened whatever they are compressed with, and read one row after another."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, cast

import orjson
import zstandard

from gateway.cli.row_splitting import split_rows
from gateway.errors import BadInput
from gateway.wire.content import Cut, read_members

STDIN = "-"

_PIECE_BYTES = 64 * 1024
_MAX_ZSTD_WINDOW_BYTES = 2 * 1024 * 1024 * 1024
"""What `zstd --long=31` makes."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row, or why there is none where one was expected.

    Args:
        line: the line on which it begins.
    """

    line: int
    row: Mapping[str, Any] = field(default_factory=dict)
    fault: BadInput | None = None


def read_rows(name: str) -> Iterator[FileRow]:
    """Yield the rows of the file of this name, or of standard input for `-`. Gzip and zstd are known by how they
    begin.

    Raises:
        OSError: the file cannot be opened or read.
    """
    line = 1
    with _open(name) as file:
        try:
            for line, found in split_rows(_pieces(file)):
                yield _row(line, found)
        except (Cut, zlib.error, zstandard.ZstdError):
            yield FileRow(line, fault=BadInput("what follows is cut or damaged, and cannot be decompressed."))


def _open(name: str) -> AbstractContextManager[BufferedReader]:
    return nullcontext(cast(BufferedReader, sys.stdin.buffer)) if name == STDIN else open(name, "rb")


def _row(line: int, found: bytes | BadInput) -> FileRow:
    if isinstance(found, BadInput):
        return FileRow(line, fault=found)
    try:
        row = orjson.loads(found)
    except orjson.JSONDecodeError as error:
        return FileRow(line, fault=BadInput(f"is not JSON: {error.msg}.", field="row"))
    if not isinstance(row, dict):
        return FileRow(line, fault=BadInput("is not an object.", field="row"))
    return FileRow(line, row)


def _pieces(file: BufferedReader) -> Iterator[bytes]:
    pieces = iter(lambda: file.read(_PIECE_BYTES), b"")
    head = file.peek(len(_ZSTD))
    if head.startswith(_GZIP):
        return read_members(lambda: zlib.decompressobj(wbits=31), pieces)
    if head.startswith(_ZSTD):
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
        return read_members(decompressor.decompressobj, pieces)
    return pieces
