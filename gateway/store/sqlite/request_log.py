"""Writing and reading the log of requests: append, annotate, and what is left to interpret."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from gateway.domain.exchange import Exchange, PayloadPolicy
from gateway.domain.request import Facts, Payload
from gateway.store.packing import BodyPacker
from gateway.store.rows import exchange_from_row, facts_to_row, payload_of, payload_to_row, request_to_row
from gateway.store.sqlite.joining import join_waiting
from gateway.store.sqlite.rollup_table import OF_REQUESTS, break_seals
from gateway.store.tables import FACT_COLUMNS, PAYLOAD_COLUMNS, REQUEST_INSERT_COLUMNS, quoted
from gateway.store.text import storable, storable_or_none

LAST_SEQ = "SELECT max(coalesce(max(seq), 0), (SELECT last_seq FROM expired)) FROM requests"
_INSERT_REQUEST = (
    f"INSERT INTO requests ({quoted(REQUEST_INSERT_COLUMNS)}, worker)"
    f" VALUES ({', '.join('?' * len(REQUEST_INSERT_COLUMNS))}, ?)"
)
INSERT_PAYLOAD = (
    f"INSERT INTO payloads ({quoted(PAYLOAD_COLUMNS)}) VALUES ({', '.join('?' * len(PAYLOAD_COLUMNS))})"
)
_IS_STORED = "SELECT 1 FROM requests WHERE request_id = ? AND started_at_us = ? AND tenant IS ? LIMIT 1"
_ANNOTATE = (
    f"UPDATE requests SET {', '.join(f'{column} = ?' for column in FACT_COLUMNS)}"
    " WHERE seq = ? AND interpreted_at_us IS NULL"
)
_NAME_USER = """
UPDATE requests SET "user" = ?1, metadata = json_insert(metadata, '$._user', ?1)
WHERE seq = ?2 AND "user" IS NULL AND interpreted_at_us IS NULL
"""
_EXCHANGES = (
    "SELECT "
    + ", ".join(
        [f'r."{column}"' for column in REQUEST_INSERT_COLUMNS]
        + [f"p.{column}" for column in PAYLOAD_COLUMNS[1:]]
    )
    + " FROM requests AS r LEFT JOIN payloads AS p ON p.seq = r.seq"
)
_UNINTERPRETED = (
    f"{_EXCHANGES} WHERE r.interpreted_at_us IS NULL AND r.worker IN (SELECT value FROM json_each(?))"
    " ORDER BY r.seq LIMIT ?"
)
_EXCHANGE = f"{_EXCHANGES} WHERE r.seq = ? AND p.seq IS NOT NULL"

ROW_BYTES = 2048
"""About what a row takes beside its bodies."""


def append(
    connection: sqlite3.Connection, packer: BodyPacker, exchanges: Sequence[Exchange], worker: int = 0
) -> list[int]:
    """Insert exchanges of a worker under the next `seq`s, join the feedback that waited for them, and return the
    `seq`s."""
    last: int = connection.execute(LAST_SEQ).fetchone()[0]
    numbered = list(enumerate(exchanges, last + 1))
    connection.executemany(
        _INSERT_REQUEST, [(*request_to_row(seq, exchange), worker) for seq, exchange in numbered]
    )
    connection.executemany(
        INSERT_PAYLOAD,
        [
            payload_to_row(seq, exchange, packer)
            for seq, exchange in numbered
            if exchange.payloads is not PayloadPolicy.OFF
        ],
    )
    break_seals(connection, OF_REQUESTS, [exchange.started_at_us for exchange in exchanges])
    join_waiting(connection, _names(exchanges))
    return [seq for seq, _ in numbered]


def missing(connection: sqlite3.Connection, exchanges: Sequence[Exchange]) -> list[int]:
    """Return the positions of exchanges that no row was made of; of several alike that of the first."""
    positions: dict[tuple[str, int, str | None], int] = {}
    for position, exchange in enumerate(exchanges):
        alike = (exchange.identity.request_id, exchange.started_at_us, exchange.tenant)
        if alike not in positions and not is_stored(connection, *alike):
            positions[alike] = position
    return list(positions.values())


def is_stored(
    connection: sqlite3.Connection, request_id: str, started_at_us: int, tenant: str | None
) -> bool:
    """Tell whether there is a row of this request."""
    alike = (storable(request_id), started_at_us, storable_or_none(tenant))
    return connection.execute(_IS_STORED, alike).fetchone() is not None


def append_missing(
    connection: sqlite3.Connection,
    packer: BodyPacker,
    past: Sequence[tuple[Exchange, Facts | None]],
    worker: int,
    at_us: int,
) -> int:
    """Append those that are not stored yet, as a worker's, fill in what is known of them, and return their
    number."""
    new = [past[position] for position in missing(connection, [exchange for exchange, _ in past])]
    seqs = append(connection, packer, [exchange for exchange, _ in new], worker)
    known = zip(seqs, [facts for _, facts in new], strict=True)
    annotate(connection, [(seq, facts) for seq, facts in known if facts is not None], at_us)
    return len(new)


def annotate(connection: sqlite3.Connection, facts: Sequence[tuple[int, Facts]], at_us: int) -> None:
    """Fill in what was found of rows that nothing was known of, and join the feedback that waited for it."""
    users = [(storable(found.user), seq) for seq, found in facts if found.user]
    if users:
        connection.executemany(_NAME_USER, users)
    connection.executemany(_ANNOTATE, [(*facts_to_row(found, at_us), seq) for seq, found in facts])
    join_waiting(connection, {found.response_id: at_us for _, found in facts if found.response_id})


def uninterpreted(
    connection: sqlite3.Connection, workers: Sequence[int], limit: int
) -> list[tuple[int, Exchange]]:
    """Return the oldest rows of these workers that were never annotated, with what was kept of them."""
    rows = connection.execute(_UNINTERPRETED, (orjson.dumps(workers).decode(), limit))
    return [exchange_from_row(row) for row in rows]


def payload(connection: sqlite3.Connection, seq: int) -> Payload | None:
    """Return what was kept of a row's heads and bodies; None where nothing was."""
    row = connection.execute(_EXCHANGE, (seq,)).fetchone()
    return None if row is None else payload_of(exchange_from_row(row)[1])


def size_bytes(exchange: Exchange) -> int:
    """Return about how many bytes an exchange takes in the queue and in the database."""
    return ROW_BYTES + len(exchange.request_body) + len(exchange.response_body)


def _names(exchanges: Sequence[Exchange]) -> dict[str, int]:
    names: dict[str, int] = {}
    for exchange in exchanges:
        names[exchange.identity.trace_id] = names[exchange.identity.request_id] = exchange.ended_at_us
    return names
