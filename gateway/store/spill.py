"""Exchanges that the store could not take, kept in a file beside it until it can.

The file is a row of records: magic, length and CRC-32, then a JSON head and both bodies as they are. Records
are added whole or not at all. A torn or damaged one is passed over when reading, by looking for the next
magic. Secrets are replaced here as they are in the store.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zlib import crc32

from gateway.domain.clock import now_us
from gateway.domain.exchange import Exchange
from gateway.errors import StoreUnavailable
from gateway.store.base import RequestHistory
from gateway.store.spilled import decode, encode

MAGIC = b"\xf1SPL"
_HEADER = struct.Struct("<4sII")
"""Magic, length of what follows in bytes, and its CRC-32."""

_SEARCH_BYTES = 1024 * 1024
_BATCH_ROWS = 100
_BATCH_BYTES = 8 * 1024 * 1024


class Spill:
    """An append-only file of exchanges. Blocks for as long as the kernel takes to buffer a write.

    What is added survives the death of the process, not that of the machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits in the file."""
        return self._size() == 0

    def add(self, exchange: Exchange) -> None:
        """Add an exchange at the end. Raises StoreUnavailable, and leaves the file as it was, if that
        fails."""
        payload = encode(exchange)
        record = _HEADER.pack(MAGIC, len(payload), crc32(payload)) + payload
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _append(file, record)
            finally:
                os.close(file)
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be written: {error.strerror}.") from error

    def records(self) -> Iterator[Exchange]:
        """Yield the exchanges that are whole, in the order in which they were added."""
        self._read_to = 0
        if self.is_empty:
            return
        with self._path.open("rb") as file:
            while (payload := _next_payload(file)) is not None:
                self._read_to = file.tell()
                yield decode(payload)
            self._read_to = file.tell()

    def clear(self) -> None:
        """Remove what `records` has gone past; what was added since then stays."""
        if self._size() == self._read_to:
            self._path.unlink(missing_ok=True)
        else:
            self._keep_from(self._read_to)
        self._read_to = 0

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _keep_from(self, offset: int) -> None:
        rest = self._path.with_name(f"{self._path.name}.rest")
        with self._path.open("rb") as old, rest.open("wb") as new:
            old.seek(offset)
            shutil.copyfileobj(old, new)
        rest.replace(self._path)


async def replay(spill: Spill, history: RequestHistory) -> int:
    """Move everything from the spill into the store, and return how many rows that made.

    The file is cleared when all is committed. If the process dies before that, the next replay leaves out
    what it finds. Rows come out uninterpreted.

    Raises:
        StoreUnavailable: the store fails again; the file still holds everything.
    """
    added = 0
    for batch in batches(spill.records()):
        added += await history.append_missing([(exchange, None) for exchange in batch], now_us())
    spill.clear()
    return added


def _append(file: int, record: bytes) -> None:
    size = os.fstat(file).st_size
    rest = memoryview(record)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        os.ftruncate(file, size)
        raise


def _next_payload(file: IO[bytes]) -> bytes | None:
    """Read the next whole record, wherever it begins; None at the end."""
    while True:
        start = file.tell()
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return None
        magic, length, checksum = _HEADER.unpack(header)
        if magic == MAGIC and length <= os.fstat(file.fileno()).st_size - file.tell():
            payload = file.read(length)
            if crc32(payload) == checksum:
                return payload
        if not _seek_magic(file, start + 1):
            return None


def _seek_magic(file: IO[bytes], start: int) -> bool:
    """Go to the first magic at or after `start`; tell whether there is one."""
    file.seek(start)
    overlap = b""
    while piece := file.read(_SEARCH_BYTES):
        at = (overlap + piece).find(MAGIC)
        if at >= 0:
            file.seek(at - len(overlap) - len(piece), os.SEEK_CUR)
            return True
        overlap = (overlap + piece)[-len(MAGIC) + 1 :]
    return False


def batches(exchanges: Iterator[Exchange]) -> Iterator[list[Exchange]]:
    """Yield exchanges some at a time, as many as are stored in one transaction."""
    batch: list[Exchange] = []
    size = 0
    for exchange in exchanges:
        batch.append(exchange)
        size += len(exchange.request_body) + len(exchange.response_body)
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
