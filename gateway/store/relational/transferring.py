"""Reading everything there is, to be carried to another store, and storing what comes from one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from gateway.domain.exchange import PayloadPolicy
from gateway.domain.feedback import Feedback, Receipt
from gateway.domain.holdings import Holdings, StoredRequest
from gateway.store.dialect import Dialect
from gateway.store.packing import Packer
from gateway.store.relational import feedback_log
from gateway.store.relational.connection import Connection
from gateway.store.relational.counting import count_for
from gateway.store.relational.joining import join_waiting
from gateway.store.relational.request_log import missing, put_other_ids
from gateway.store.relational.rollup_table import OF_REQUESTS, break_seals
from gateway.store.rows import (
    exchange_from_row,
    payload_to_row,
    receipt_from_row,
    record_from_row,
    record_to_row,
)
from gateway.store.tables import (
    PAYLOAD_COLUMNS,
    RECEIPT_COLUMNS,
    REQUEST_INSERT_COLUMNS,
    REQUESTS,
    payload_columns,
    quoted,
)

_SLICE_ROWS = 500
_SLICE_BYTES = 8 * 1024 * 1024
"""How much is read at a time, as it went over the wire."""

_HOLDINGS = """
SELECT
    count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(cost_nanousd), 0),
    coalesce(sum(request_size + response_size), 0),
    (SELECT count(*) FROM feedback),
    (SELECT count(*) FROM feedback) + (SELECT count(*) FROM feedback_versions),
    (SELECT coalesce(sum(weight), 0.0) FROM feedback)
FROM requests
"""
_SIZES = "SELECT seq, request_size + response_size FROM requests WHERE seq > ? ORDER BY seq LIMIT ?"
_OTHER_IDS = "SELECT response_id, seq FROM other_response_ids WHERE seq > ? AND seq <= ? ORDER BY response_id"
_ENTRIES = "SELECT seq, feedback_id FROM feedback WHERE seq > ? ORDER BY seq LIMIT ?"
_RECEIPTS = (
    f"SELECT {quoted(RECEIPT_COLUMNS)} FROM receipts WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT ?"
)


@cache
def _rows(dialect: Dialect) -> str:
    columns = [f'r."{column}"' for column in (*REQUESTS.columns, *REQUEST_INSERT_COLUMNS)]
    columns += [dialect.kept_payload(column) for column in PAYLOAD_COLUMNS[1:]]
    return (
        f"SELECT {', '.join(columns)} FROM requests AS r"
        f" LEFT JOIN payloads AS p ON {dialect.is_payload_of('p', 'r')}"
        " WHERE r.seq > ? AND r.seq <= ? ORDER BY r.seq"
    )


def holdings(connection: Connection) -> Holdings:
    """Count and sum up everything."""
    return Holdings(*connection.execute(_HOLDINGS).fetchone())


def requests_after(connection: Connection, seq: int) -> list[StoredRequest]:
    """Return the rows that follow a `seq`."""
    size, last = 0, seq
    for following, size_bytes in connection.execute(_SIZES, (seq, _SLICE_ROWS)).fetchall():
        last = following
        size += size_bytes
        if size > _SLICE_BYTES:
            break
    others: dict[int, list[str]] = defaultdict(list)
    for response_id, of in connection.execute(_OTHER_IDS, (seq, last)):
        others[of].append(response_id)
    return [
        _stored_request(row, others) for row in connection.execute(_rows(connection.dialect), (seq, last))
    ]


def put_requests(
    connection: Connection, packer: Packer, requests: Sequence[StoredRequest], worker: int
) -> list[int]:
    """Store the rows that are not there yet, under the next `seq`s, and return their positions."""
    positions = missing(connection, [stored.exchange for stored in requests])
    new = [requests[position] for position in positions]
    numbered = list(zip(connection.dialect.next_seqs(connection, len(new)), new, strict=True))
    connection.insert(
        "requests",
        (*REQUESTS.columns, "payloads", "worker"),
        [
            (*record_to_row(seq, stored.record), stored.exchange.payloads.value, worker)
            for seq, stored in numbered
        ],
    )
    connection.insert(
        "payloads",
        payload_columns(packer.columns, packer.repeated),
        [
            payload_to_row(seq, stored.exchange, packer)
            for seq, stored in numbered
            if stored.exchange.payloads is not PayloadPolicy.OFF
        ],
    )
    put_other_ids(connection, [(seq, stored.other_response_ids) for seq, stored in numbered])
    records = [stored.record for stored in new]
    break_seals(connection, OF_REQUESTS, [record.started_at_us for record in records])
    join_waiting(
        connection,
        {
            name: stored.record.ended_at_us
            for stored in new
            for name in (
                stored.record.trace_id,
                stored.record.request_id,
                stored.record.response_id,
                stored.record.session,
                *stored.other_response_ids,
            )
            if name is not None
        },
    )
    count_for(connection, [seq for seq, _ in numbered])
    return positions


def histories_after(connection: Connection, place: int, limit: int) -> list[tuple[int, list[Feedback]]]:
    """Return entries with all their versions, from the one after a place on."""
    found = connection.execute(_ENTRIES, (place, limit)).fetchall()
    return [(seq, feedback_log.history(connection, feedback_id)) for seq, feedback_id in found]


def receipts_after(connection: Connection, after: tuple[str, str], limit: int) -> list[Receipt]:
    """Return the receipts that follow one."""
    return [receipt_from_row(row) for row in connection.execute(_RECEIPTS, (*after, limit))]


def _stored_request(row: Sequence[Any], others: Mapping[int, Sequence[str]]) -> StoredRequest:
    columns = len(REQUESTS.columns)
    record = record_from_row(row[:columns])
    return StoredRequest(record, exchange_from_row(row[columns:])[1], tuple(others.get(record.seq, ())))
