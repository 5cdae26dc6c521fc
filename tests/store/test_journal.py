"""Records of the journal: whole, without secrets, readable across versions, and passed over when damaged."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import orjson
import pytest

from gateway.models.exchange import Exchange, Identity, LoggingOptOut, Outcome, PayloadPolicy
from gateway.models.request import Billing, Charge, Cost, Facts, Usage
from gateway.store.journal import (
    RECORD_MAGIC,
    JournalEntry,
    RecordReader,
    decode_record,
    encode_record,
    read_file,
)
from tests.store.samples import exchange

WHOLE = exchange(
    identity=Identity("r", "t", "span", "parent", "plan", {"_user": "ann", "n": [1, None]}),
    tenant="north",
    key_name="app",
    first_byte_at_us=1_700_000_000_100_000,
    status=None,
    outcome=Outcome.CLIENT_CLOSED,
    error="the client left",
    attempt=3,
    cache_status="MISS",
    payloads=PayloadPolicy.REDACTED,
    request_headers=((b"X-Odd", b"\xff"), (b"X-Odd", b"")),
    request_body=RECORD_MAGIC * 3 + bytes(range(256)),
    response_body=RECORD_MAGIC,
)
FACTS = Facts(
    "gpt-4o", "gpt-4o-mini", Usage(1, 2, 3, 4, 5), Cost(7, "v"), "chatcmpl-1", "stop", "ann", "s", "p", "n",
    Billing(3, {"web_searches": 1.0}, {"service_tier": "flex"}, (Charge("m", Usage(1)),)),
    Outcome.PROVIDER_ERROR, True, ("a", "b"), True,
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0-1.seg"


def append(path: Path, given: Exchange, facts: Facts | None = None) -> None:
    with path.open("ab") as file:
        file.write(b"".join(encode_record(given, facts)))


def read(path: Path, offset: int = 0) -> list[JournalEntry]:
    return [entry for batch in read_file(path, offset) for entry in batch]


def ids(entries: Sequence[JournalEntry]) -> list[str]:
    return [entry.exchange.identity.request_id for entry in entries]


def test_exchanges_come_back_whole_and_in_order(path: Path) -> None:
    append(path, WHOLE)
    start = path.stat().st_size
    append(path, exchange("b"), FACTS)
    assert read(path) == [JournalEntry(WHOLE), JournalEntry(exchange("b"), FACTS)]
    assert read(path, start) == [JournalEntry(exchange("b"), FACTS)]


def test_what_json_cannot_hold_becomes_the_nearest_that_it_can(path: Path) -> None:
    odd = exchange(identity=Identity("\ud800", "t", metadata={"n": 2**70, "t": "\udfff"}), error="\ud800")
    append(path, odd, FACTS)
    [entry] = read(path)
    assert entry.exchange.identity.request_id == "\\ud800"
    assert entry.exchange.identity.metadata == {"n": str(2**70), "t": "\\udfff"}
    assert entry.facts == FACTS


def test_secrets_do_not_reach_the_file(path: Path) -> None:
    given = exchange(request_headers=((b"Authorization", b"Bearer sk-sesame"),), path="/v1/x?key=sk-sesame")
    append(path, given)
    assert b"sesame" not in path.read_bytes()
    assert read(path)[0].exchange.request_headers == ((b"Authorization", b"[redacted]"),)


def test_payloads_that_may_not_be_kept_do_not_reach_the_file(path: Path) -> None:
    stream = ((b"Content-Type", b"text/event-stream"), (b"X-Name", b"sesame"))
    given = exchange(
        payloads=PayloadPolicy.OFF,
        request_headers=stream,
        request_body=b"sesame",
        response_headers=stream,
        response_body=b"sesame",
    )
    append(path, given)
    assert b"sesame" not in path.read_bytes()
    assert read(path)[0].exchange.response_headers == stream[:1]


@pytest.mark.parametrize(
    "opt_out", [LoggingOptOut(request=True), LoggingOptOut(response=True), LoggingOptOut(True, True)]
)
def test_an_omitted_side_does_not_reach_the_file(path: Path, opt_out: LoggingOptOut) -> None:
    named, stream = (b"X-Name", b"sesame"), (b"Content-Type", b"text/event-stream")
    given = exchange(
        opt_out=opt_out,
        request_headers=(named,),
        request_body=b"sesame?",
        response_headers=(stream, named),
        response_body=b"sesame!",
    )
    append(path, given)
    found = read(path)[0].exchange
    sides = not opt_out.request, not opt_out.response
    assert path.read_bytes().count(b"sesame") == 2 * sum(sides)
    assert (found.request_headers, found.request_body) == (((named,), b"sesame?") if sides[0] else ((), b""))
    assert found.response_body == (b"sesame!" if sides[1] else b"")
    assert found.response_headers == ((stream, named) if sides[1] else (stream,))
    assert found.opt_out == opt_out


def old_record(given: Exchange) -> bytes:
    """A record as version 1 wrote it: metadata as text, no facts."""
    pieces = encode_record(given)
    head = orjson.loads(pieces[1])
    head |= {"version": 1, "metadata": orjson.dumps(head["metadata"]).decode()}
    text = orjson.dumps(head)
    payload = struct.pack("<II", len(text), len(pieces[2])) + text + pieces[2] + pieces[3]
    return struct.pack("<4sII", RECORD_MAGIC, len(payload), crc32(payload)) + payload


def test_records_of_an_earlier_version_are_read(path: Path) -> None:
    path.write_bytes(old_record(WHOLE))
    append(path, exchange("b"))
    assert read(path) == [JournalEntry(WHOLE), JournalEntry(exchange("b"))]


def damaged_read(path: Path) -> tuple[list[str], int]:
    file = os.open(path, os.O_RDONLY)
    reader = RecordReader(file)
    end = os.fstat(file).st_size
    found = []
    while records := reader.read(end, 2, 1000):
        found += [decode_record(record.payload) for record in records]
    os.close(file)
    assert reader.offset == end
    return ids(found), reader.damaged


@pytest.mark.parametrize("lost_bytes", [1, 20, 300])
def test_a_torn_record_is_passed_over_and_counted(path: Path, lost_bytes: int) -> None:
    append(path, exchange("a"))
    append(path, exchange("torn"))
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    assert damaged_read(path) == (["a"], 1)
    append(path, exchange("c"))
    assert damaged_read(path) == (["a", "c"], 1)


def test_a_damaged_record_is_passed_over_and_counted(path: Path) -> None:
    for name in ("a", "damaged", "c"):
        append(path, exchange(name))
    path.write_bytes(path.read_bytes().replace(b"damaged", b"DAMAGED"))
    assert damaged_read(path) == (["a", "c"], 1)


@pytest.mark.parametrize("length", [1, 11, 12, 13, 1024 * 1024 - 2, 1024 * 1024 - 1, 1024 * 1024, 3_000_001])
def test_a_record_after_a_stretch_of_rubbish_is_found(path: Path, length: int) -> None:
    path.write_bytes(RECORD_MAGIC[:1] * length)
    append(path, exchange("a"))
    assert damaged_read(path) == (["a"], 1)


def test_a_record_longer_than_a_block_is_read(path: Path) -> None:
    large = exchange("large", response_body=os.urandom(3_000_001))
    for given in (exchange("a"), large, exchange("c")):
        append(path, given)
    assert [entry.exchange for entry in read(path)] == [exchange("a"), large, exchange("c")]
