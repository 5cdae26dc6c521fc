"""Journal: a file beside the store that keeps exchanges while the store cannot take them."""

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import orjson

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.columns import Origin
from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy, RawHeaders
from gateway.models.request import IDENTITY_FIELDS, REQUEST_COLUMNS
from gateway.store import rows
from gateway.store.base import RequestLog

RECORD_VERSION = 1

# Lengths of the head and of the request body in bytes; the response body is the rest.
_LENGTHS_STRUCT = struct.Struct("<II")

_IDS = tuple(name for name in IDENTITY_FIELDS if name != "metadata")
_TEXT_FIELDS, _NUMBER_FIELDS = (
    tuple(
        column.name
        for column in REQUEST_COLUMNS
        if column.origin is Origin.EXCHANGE
        and column.part == ""
        and column.value_type is value_type
        and column.name != "path"
    )
    for value_type in (str, int)
)


def encode_exchange(exchange: Exchange) -> bytes:
    """Return an exchange as bytes, without secrets and without what may not be kept of its payload."""
    request_body = exchange.request_body if exchange.keeps_request else b""
    response_body = exchange.response_body if exchange.keeps_response else b""
    head = orjson.dumps(_encode_head(exchange))
    return _LENGTHS_STRUCT.pack(len(head), len(request_body)) + head + request_body + response_body


def decode_exchange(record: bytes) -> Exchange:
    """Return the exchange that `encode_exchange` was given, as far as it was kept."""
    head_length, request_length = _LENGTHS_STRUCT.unpack_from(record)
    head_end = _LENGTHS_STRUCT.size + head_length
    head: dict[str, Any] = orjson.loads(record[_LENGTHS_STRUCT.size : head_end])
    identity = Identity(**{name: head[name] for name in _IDS}, metadata=rows.from_json(head["metadata"]))
    return Exchange(
        identity=identity,
        # Files of an earlier version do not have all numbers.
        **{name: head[name] for name in (*_TEXT_FIELDS, *_NUMBER_FIELDS, "path") if name in head},
        outcome=Outcome(head["outcome"]),
        payloads=PayloadPolicy(head["payloads"]),
        # Files of an earlier version do not say.
        opt_out=LoggingOptOut(**head.get("omission", {})),
        request_headers=rows.headers_from_json(head["request_headers"]),
        request_body=record[head_end : head_end + request_length],
        response_headers=rows.headers_from_json(head["response_headers"]),
        response_body=record[head_end + request_length :],
    )


def _encode_head(exchange: Exchange) -> dict[str, object]:
    texts = {name: getattr(exchange.identity, name) for name in _IDS}
    texts |= {name: getattr(exchange, name) for name in _TEXT_FIELDS}
    return {
        "version": RECORD_VERSION,
        **{name: None if text is None else rows.clean_text(text) for name, text in texts.items()},
        **{name: getattr(exchange, name) for name in _NUMBER_FIELDS},
        "path": rows.clean_text(rows.redact_path(exchange.path)),
        "outcome": exchange.outcome.value,
        "payloads": exchange.payloads.value,
        "omission": exchange.opt_out,
        "metadata": rows.to_json(exchange.identity.metadata),
        "request_headers": _encode_headers(exchange.request_headers if exchange.keeps_request else ()),
        "response_headers": _encode_headers(
            exchange.response_headers if exchange.keeps_response else _content_type(exchange)
        ),
    }


def _encode_headers(headers: RawHeaders) -> str:
    return rows.headers_to_json(rows.redact_headers(headers))


def _content_type(exchange: Exchange) -> RawHeaders:
    # A row shows from this header alone whether the response was a stream.
    return tuple(pair for pair in exchange.response_headers if pair[0].lower() == b"content-type")


RECORD_MAGIC = b"\xf1SPL"
# Magic, length of the payload in bytes, and its CRC-32.
_RECORD_HEADER = struct.Struct("<4sII")

_SEARCH_BYTES = 1024 * 1024
_BATCH_ROWS = 100
_BATCH_BYTES = 8 * 1024 * 1024


class Journal:
    """An append-only file of exchanges, which survive the death of the process, not of the machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    @property
    def is_empty(self) -> bool:
        return self._size() == 0

    def add(self, exchange: Exchange) -> None:
        """Append an exchange. Raises StoreUnavailable, and leaves the file as it was, if that fails."""
        payload = encode_exchange(exchange)
        record = _RECORD_HEADER.pack(RECORD_MAGIC, len(payload), crc32(payload)) + payload
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _append_record(file, record)
            finally:
                os.close(file)
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be written: {error.strerror}.") from error

    def records(self) -> Iterator[Exchange]:
        """Yield the whole exchanges in order."""
        self._read_to = 0
        if self.is_empty:
            return
        with self._path.open("rb") as file:
            while (payload := _read_next_record(file)) is not None:
                self._read_to = file.tell()
                yield decode_exchange(payload)
            self._read_to = file.tell()

    def clear(self) -> None:
        """Remove what `records` has passed; what was added since then stays."""
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


async def replay_journal(journal: Journal, history: RequestLog) -> int:
    """Move everything from the journal into the store; return the number of rows. Raises StoreUnavailable."""
    # The file is cleared only when all is committed; a replay after a crash leaves out what is stored.
    added = 0
    for batch in batch_exchanges(journal.records()):
        added += await history.append_missing([(exchange, None) for exchange in batch], now_us())
    journal.clear()
    return added


def _append_record(file: int, record: bytes) -> None:
    size = os.fstat(file).st_size
    rest = memoryview(record)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        os.ftruncate(file, size)
        raise


def _read_next_record(file: IO[bytes]) -> bytes | None:
    while True:
        start = file.tell()
        header = file.read(_RECORD_HEADER.size)
        if len(header) < _RECORD_HEADER.size:
            return None
        magic, length, checksum = _RECORD_HEADER.unpack(header)
        if magic == RECORD_MAGIC and length <= os.fstat(file.fileno()).st_size - file.tell():
            payload = file.read(length)
            if crc32(payload) == checksum:
                return payload
        # A torn record may be followed by whole ones.
        if not _seek_magic(file, start + 1):
            return None


def _seek_magic(file: IO[bytes], start: int) -> bool:
    file.seek(start)
    overlap = b""
    while piece := file.read(_SEARCH_BYTES):
        at = (overlap + piece).find(RECORD_MAGIC)
        if at >= 0:
            file.seek(at - len(overlap) - len(piece), os.SEEK_CUR)
            return True
        overlap = (overlap + piece)[-len(RECORD_MAGIC) + 1 :]
    return False


def batch_exchanges(exchanges: Iterator[Exchange]) -> Iterator[list[Exchange]]:
    """Yield batches of exchanges, each for one transaction."""
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
