"""Journal: finished exchanges as framed, checksummed records in append-only files, until the store has them."""

import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from gateway.models.columns import Origin
from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy, RawHeaders
from gateway.models.request import (
    IDENTITY_FIELDS,
    NO_BILLING,
    REQUEST_COLUMNS,
    Billing,
    Charge,
    Cost,
    Facts,
    Usage,
)
from gateway.store import rows

RECORD_VERSION = 2

_IDS = tuple(name for name in IDENTITY_FIELDS if name != "metadata")
_FIELDS = tuple(
    column.name
    for column in REQUEST_COLUMNS
    if column.origin is Origin.EXCHANGE
    and column.part == ""
    and column.value_type in (str, int)
    and column.name != "path"
)

RECORD_MAGIC = b"\xf1SPL"
# Magic, length of the payload in bytes, its CRC-32.
_FRAME = struct.Struct("<4sII")
# The payload begins with the lengths of the head and of the request body; the response body is the rest.
_LENGTHS = struct.Struct("<II")
_START = struct.Struct("<4sIIII")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An exchange as far as it may be kept, and its facts where they cannot be read from what is kept."""

    exchange: Exchange
    facts: Facts | None = None


def encode_record(exchange: Exchange, facts: Facts | None = None) -> list[bytes]:
    """Return the pieces of a record, without secrets and without what may not be kept of the payload."""
    request_body = exchange.request_body if exchange.keeps_request else b""
    response_body = exchange.response_body if exchange.keeps_response else b""
    head = _encode_head(exchange, facts)
    lengths = _LENGTHS.pack(len(head), len(request_body))
    checksum = crc32(response_body, crc32(request_body, crc32(head, crc32(lengths))))
    size = _LENGTHS.size + len(head) + len(request_body) + len(response_body)
    start = _START.pack(RECORD_MAGIC, size, checksum, len(head), len(request_body))
    return [start, head, request_body, response_body]


def decode_record(payload: bytes | memoryview) -> JournalEntry:
    """Return what `encode_record` was given, as far as it was kept."""
    head_length, request_length = _LENGTHS.unpack_from(payload)
    head_end = _LENGTHS.size + head_length
    request_end = head_end + request_length
    head: dict[str, Any] = orjson.loads(payload[_LENGTHS.size : head_end])
    metadata = head["metadata"]
    identity = Identity(
        **{name: head[name] for name in _IDS},
        # Version 1 has it as text.
        metadata=rows.from_json(metadata) if isinstance(metadata, str) else metadata,
    )
    exchange = Exchange(
        identity=identity,
        path=head["path"],
        # Records of an earlier version do not have all of them.
        **{name: head[name] for name in _FIELDS if name in head},
        outcome=Outcome(head["outcome"]),
        payloads=PayloadPolicy(head["payloads"]),
        opt_out=LoggingOptOut(**head.get("omission", {})),
        request_headers=rows.headers_from_json(head["request_headers"]),
        request_body=bytes(payload[head_end:request_end]),
        response_headers=rows.headers_from_json(head["response_headers"]),
        response_body=bytes(payload[request_end:]),
    )
    facts = head.get("facts")
    return JournalEntry(exchange, None if facts is None else _decode_facts(facts))


def _encode_head(exchange: Exchange, facts: Facts | None) -> bytes:
    identity = exchange.identity
    head: dict[str, object] = {
        "version": RECORD_VERSION,
        **{name: getattr(identity, name) for name in _IDS},
        **{name: getattr(exchange, name) for name in _FIELDS},
        "path": rows.redact_path(exchange.path),
        "outcome": exchange.outcome,
        "payloads": exchange.payloads,
        "metadata": identity.metadata,
        "request_headers": _encode_headers(exchange.request_headers if exchange.keeps_request else ()),
        "response_headers": _encode_headers(
            exchange.response_headers if exchange.keeps_response else _content_type(exchange)
        ),
    }
    if exchange.opt_out.request or exchange.opt_out.response:
        head["omission"] = exchange.opt_out
    if facts is not None:
        head["facts"] = facts
    try:
        return orjson.dumps(head)
    except TypeError:
        # Some text or number is none that JSON can hold.
        return rows.to_json(_plain(head)).encode()


def _plain(head: dict[str, object]) -> dict[str, object]:
    facts, opt_out = head.get("facts"), head.get("omission")
    return {
        **head,
        "metadata": rows.to_json(head["metadata"]),  # type: ignore[arg-type]
        **({"facts": asdict(facts)} if isinstance(facts, Facts) else {}),
        **({"omission": asdict(opt_out)} if isinstance(opt_out, LoggingOptOut) else {}),
    }


def _decode_facts(head: dict[str, Any]) -> Facts:
    billing, cost, outcome = head["billing"], head["cost"], head["outcome"]
    others = tuple(Charge(**{**each, "usage": Usage(**each["usage"])}) for each in billing["others"])
    return Facts(
        **{
            **head,
            "usage": Usage(**head["usage"]),
            "cost": None if cost is None else Cost(**cost),
            "billing": NO_BILLING if not any(billing.values()) else Billing(**{**billing, "others": others}),
            "outcome": None if outcome is None else Outcome(outcome),
            "other_response_ids": tuple(head["other_response_ids"]),
        }
    )


def _encode_headers(headers: RawHeaders) -> str:
    return rows.headers_to_json(rows.redact_headers(headers))


def _content_type(exchange: Exchange) -> RawHeaders:
    # A row shows from this header alone whether the response was a stream.
    return tuple(pair for pair in exchange.response_headers if pair[0].lower() == b"content-type")


@dataclass(frozen=True, slots=True)
class Record:
    """The payload of a record in a file, and where the next one begins."""

    payload: memoryview
    end: int


class RecordReader:
    """Reads the records of a file from an offset on; damaged ones are passed over and counted."""

    def __init__(self, file: int, offset: int = 0) -> None:
        self._file = file
        self.offset = offset
        self.damaged = 0

    def read(self, end: int, max_rows: int, max_bytes: int) -> list[Record]:
        """Return the next whole records before `end`, at least one if there is one."""
        found: list[Record] = []
        stop = min(end, self.offset + max_bytes)
        while len(found) < max_rows and self.offset < (stop if found else end):
            block = self._read_block(_BLOCK_BYTES, end)
            if (size := _record_size(block)) is not None and size > len(block):
                block = self._read_block(size, end)
            if not self._take_whole(block, found, max_rows):
                self._skip_damage(end)
        return found

    def _read_block(self, size: int, end: int) -> memoryview:
        return memoryview(os.pread(self._file, min(size, end - self.offset), self.offset))

    def _take_whole(self, block: memoryview, found: list[Record], max_rows: int) -> bool:
        start = self.offset
        while len(found) < max_rows:
            at = self.offset - start
            size = _record_size(block[at:])
            if size is None or at + size > len(block) or not _is_whole(block[at : at + size]):
                break
            self.offset += size
            found.append(Record(block[at + _FRAME.size : at + size], self.offset))
        return self.offset > start

    def _skip_damage(self, end: int) -> None:
        # A torn record may be followed by whole ones.
        self.damaged += 1
        start = self.offset + 1
        while start < end and (piece := os.pread(self._file, min(_BLOCK_BYTES, end - start), start)):
            if (at := piece.find(RECORD_MAGIC)) >= 0:
                self.offset = start + at
                return
            start += max(len(piece) - len(RECORD_MAGIC) + 1, 1)
        self.offset = end


# Many small records are read at once.
_BLOCK_BYTES = 1024 * 1024


def _record_size(start: memoryview) -> int | None:
    if len(start) < _FRAME.size:
        return None
    magic, length, _ = _FRAME.unpack_from(start)
    return _FRAME.size + int(length) if magic == RECORD_MAGIC and length >= _LENGTHS.size else None


def _is_whole(record: memoryview) -> bool:
    return bool(crc32(record[_FRAME.size :]) == _FRAME.unpack_from(record)[2])


# Files of versions that wrote to them only while the store failed.
_MAX_OLD_ROWS = 100
_MAX_OLD_BYTES = 8 * 1024 * 1024


def read_file(path: Path, offset: int = 0) -> Iterator[list[JournalEntry]]:
    """Yield what a file holds from an offset on, in batches for one transaction each."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        reader, end = RecordReader(file, offset), os.fstat(file).st_size
        while records := reader.read(end, _MAX_OLD_ROWS, _MAX_OLD_BYTES):
            yield [decode_record(record.payload) for record in records]
    finally:
        os.close(file)
