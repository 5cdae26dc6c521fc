"""Reading everything there is, to be carried to another store, and storing what comes from one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from gateway.domain.exchange import PayloadPolicy
from gateway.domain.feedback import Feedback, Receipt
from gateway.domain.holdings import Holdings, StoredRequest
from gateway.store.packing import BodyPacker
from gateway.store.rows import (
    exchange_from_row,
    payload_to_row,
    receipt_from_row,
    record_from_row,
    record_to_row,
)
from gateway.store.sqlite import feedback_log
from gateway.store.sqlite.joining import join_waiting
from gateway.store.sqlite.request_log import INSERT_PAYLOAD, LAST_SEQ, is_stored
from gateway.store.sqlite.rollup_table import OF_REQUESTS, break_seals
from gateway.store.tables import PAYLOAD_COLUMNS, RECEIPT_COLUMNS, REQUEST_INSERT_COLUMNS, REQUESTS, quoted

_SLICE_ROWS = 500
_SLICE_BYTES = 1024 * 1024
"""How much is read at a time, as it is packed."""

_HOLDINGS = """
SELECT
    count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(cost_nanousd), 0),
    coalesce(sum(request_size + response_size), 0),
    (SELECT count(*) FROM feedback),
    (SELECT count(*) FROM feedback) + (SELECT count(*) FROM feedback_versions),
    (SELECT coalesce(sum(weight), 0.0) FROM feedback)
FROM requests
"""
_SIZES = """
SELECT r.seq, coalesce(length(p.request_body) + length(p.response_body), 0)
FROM requests AS r LEFT JOIN payloads AS p ON p.seq = r.seq WHERE r.seq > ? ORDER BY r.seq LIMIT ?
"""
_ROWS = (
    "SELECT "
    + ", ".join([f'r."{column}"' for column in (*REQUESTS.columns, *REQUEST_INSERT_COLUMNS)])
    + ", "
    + ", ".join([f"p.{column}" for column in PAYLOAD_COLUMNS[1:]])
    + " FROM requests AS r LEFT JOIN payloads AS p ON p.seq = r.seq WHERE r.seq > ? AND r.seq <= ? ORDER BY r.seq"
)
_INSERT_ROW = (
    f"INSERT INTO requests ({quoted(REQUESTS.columns)}, payloads, worker)"
    f" VALUES ({', '.join('?' * len(REQUESTS.columns))}, ?, ?)"
)
_ENTRIES = "SELECT seq, feedback_id FROM feedback WHERE seq > ? ORDER BY seq LIMIT ?"
_RECEIPTS = (
    f"SELECT {quoted(RECEIPT_COLUMNS)} FROM receipts WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT ?"
)


def holdings(connection: sqlite3.Connection) -> Holdings:
    """Count and sum up everything."""
    return Holdings(*connection.execute(_HOLDINGS).fetchone())


def requests_after(connection: sqlite3.Connection, seq: int) -> list[StoredRequest]:
    """Return the rows that follow a `seq`."""
    size, last = 0, seq
    for following, packed_bytes in connection.execute(_SIZES, (seq, _SLICE_ROWS)):
        last = following
        size += packed_bytes
        if size > _SLICE_BYTES:
            break
    return [_stored_request(row) for row in connection.execute(_ROWS, (seq, last))]


def put_requests(
    connection: sqlite3.Connection, packer: BodyPacker, requests: Sequence[StoredRequest], worker: int
) -> list[int]:
    """Store the rows that are not there yet, under the next `seq`s, and return their positions."""
    seq: int = connection.execute(LAST_SEQ).fetchone()[0]
    positions = []
    for position, stored in enumerate(requests):
        record = stored.record
        if is_stored(connection, record.request_id, record.started_at_us, record.tenant):
            continue
        seq += 1
        positions.append(position)
        policy = stored.exchange.payloads
        connection.execute(_INSERT_ROW, (*record_to_row(seq, record), policy.value, worker))
        if policy is not PayloadPolicy.OFF:
            connection.execute(INSERT_PAYLOAD, payload_to_row(seq, stored.exchange, packer))
    records = [requests[position].record for position in positions]
    break_seals(connection, OF_REQUESTS, [record.started_at_us for record in records])
    names = {}
    for record in records:
        for name in (record.trace_id, record.request_id, record.response_id):
            if name is not None:
                names[name] = record.ended_at_us
    join_waiting(connection, names)
    return positions


def histories_after(
    connection: sqlite3.Connection, place: int, limit: int
) -> list[tuple[int, list[Feedback]]]:
    """Return entries with all their versions, from the one after a place on."""
    found = connection.execute(_ENTRIES, (place, limit)).fetchall()
    return [(seq, feedback_log.history(connection, feedback_id)) for seq, feedback_id in found]


def receipts_after(connection: sqlite3.Connection, after: tuple[str, str], limit: int) -> list[Receipt]:
    """Return the receipts that follow one."""
    return [receipt_from_row(row) for row in connection.execute(_RECEIPTS, (*after, limit))]


def _stored_request(row: Sequence[Any]) -> StoredRequest:
    columns = len(REQUESTS.columns)
    return StoredRequest(record_from_row(row[:columns]), exchange_from_row(row[columns:])[1])
