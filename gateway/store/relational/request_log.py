"""Writing and reading the log of requests: append, annotate, and what is left to interpret."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

import orjson

from gateway.domain.exchange import Exchange, PayloadPolicy
from gateway.domain.request import Facts, Payload, Usage
from gateway.store.dialect import Dialect
from gateway.store.packing import Packer
from gateway.store.relational.connection import Connection
from gateway.store.relational.conversations import link
from gateway.store.relational.counting import count_for
from gateway.store.relational.joining import join_waiting
from gateway.store.relational.rollup_table import OF_REQUESTS, break_seals
from gateway.store.rows import (
    exchange_from_row,
    facts_to_row,
    payload_of,
    payload_to_row,
    request_to_row,
    session_of,
)
from gateway.store.tables import (
    FACT_COLUMNS,
    GIVEN_COLUMNS,
    PAYLOAD_COLUMNS,
    REQUEST_INSERT_COLUMNS,
    payload_columns,
)
from gateway.store.text import list_to_json, storable, storable_or_none

_ANNOTATE = (
    f"UPDATE requests SET {', '.join(f'{column} = ?' for column in FACT_COLUMNS)}"
    " WHERE seq = ? AND interpreted_at_us IS NULL"
)
_CORRECT = (
    "UPDATE requests SET outcome = coalesce(:outcome, outcome), is_stream = coalesce(:is_stream, is_stream)"
    " WHERE seq = :seq AND interpreted_at_us IS NULL"
)
_PUT_OTHER_ID = "INSERT INTO other_response_ids (response_id, seq) VALUES (?, ?) ON CONFLICT DO NOTHING"
_OWNER = """
SELECT owner.seq, owner.started_at_us,
    owner.prompt_tokens IS NOT NULL OR owner.completion_tokens IS NOT NULL OR owner.outcome = 'provider_error'
FROM requests AS owner JOIN requests AS own ON own.seq = :seq
WHERE owner.response_id = :response_id AND owner.seq <> own.seq
    AND owner.provider = own.provider AND owner.tenant IS NOT DISTINCT FROM own.tenant
ORDER BY 3 DESC, owner.seq LIMIT 1
"""
_GIVE = f"""
UPDATE requests SET
    {", ".join(f"{column} = :{column}" for column in GIVEN_COLUMNS)},
    outcome = coalesce(:outcome, outcome), finish_reason = coalesce(:finish_reason, finish_reason)
WHERE seq = :owner AND prompt_tokens IS NULL AND completion_tokens IS NULL
"""
ROW_BYTES = 2048
"""About what a row takes beside its bodies."""


@cache
def _exchanges(dialect: Dialect) -> str:
    columns = [f'r."{column}"' for column in REQUEST_INSERT_COLUMNS]
    columns += [dialect.kept_payload(column) for column in PAYLOAD_COLUMNS[1:]]
    is_its = dialect.is_payload_of("p", "r")
    return f"SELECT {', '.join(columns)} FROM requests AS r LEFT JOIN payloads AS p ON {is_its}"


@cache
def _exchange(dialect: Dialect) -> str:
    return f"{_exchanges(dialect)} WHERE r.seq = ? AND p.seq IS NOT NULL"


@cache
def _uninterpreted(dialect: Dialect) -> str:
    return (
        f"{_exchanges(dialect)} WHERE r.interpreted_at_us IS NULL AND r.worker {dialect.among_numbers('?')}"
        " ORDER BY r.seq LIMIT ?"
    )


@cache
def _alike(dialect: Dialect) -> str:
    # Times are no help to find few rows: all of a batch may be close together.
    started = f"{dialect.unindexed('started_at_us')} {dialect.among_numbers(':starts')}"
    return (
        "SELECT request_id, started_at_us, tenant FROM requests"
        f" WHERE request_id {dialect.among_texts(':ids')} AND {started}"
    )


def append(
    connection: Connection, packer: Packer, exchanges: Sequence[Exchange], worker: int = 0
) -> list[int]:
    """Insert exchanges of a worker under the next `seq`s, join the feedback that waited for them, and return the
    `seq`s."""
    seqs = connection.dialect.next_seqs(connection, len(exchanges))
    numbered = list(zip(seqs, exchanges, strict=True))
    connection.insert(
        "requests",
        (*REQUEST_INSERT_COLUMNS, "worker"),
        ((*request_to_row(seq, exchange), worker) for seq, exchange in numbered),
    )
    connection.insert(
        "payloads",
        payload_columns(packer.columns, packer.repeated),
        (
            payload_to_row(seq, exchange, packer)
            for seq, exchange in numbered
            if exchange.payloads is not PayloadPolicy.OFF
        ),
    )
    break_seals(connection, OF_REQUESTS, [exchange.started_at_us for exchange in exchanges])
    join_waiting(connection, _names(exchanges))
    count_for(connection, seqs)
    return list(seqs)


def missing(connection: Connection, exchanges: Sequence[Exchange]) -> list[int]:
    """Return the positions of exchanges that no row was made of; of several alike that of the first."""
    positions: dict[tuple[str, int, str | None], int] = {}
    for position, exchange in enumerate(exchanges):
        positions.setdefault(_what_tells_apart(exchange), position)
    alike = {
        "ids": list_to_json([request_id for request_id, _, _ in positions]),
        "starts": orjson.dumps([start for _, start, _ in positions]).decode(),
    }
    for stored in connection.execute(_alike(connection.dialect), alike):
        positions.pop(tuple(stored), None)
    return list(positions.values())


def append_missing(
    connection: Connection,
    packer: Packer,
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


def annotate(
    connection: Connection, facts: Sequence[tuple[int, Facts]], at_us: int
) -> list[tuple[int, Facts]]:
    """Fill in what was found of rows that nothing was known of, and join the feedback that waited for it.

    What a retrieval says was used goes to the row of the request that used it, and only once. Answers that continue
    others are put into one conversation with them.

    Returns:
        The facts that are to be counted: those given, without what retrievals say that was counted before.
    """
    first = [(seq, found) for seq, found in facts if not found.is_retrieval]
    _fill_in(connection, first, at_us)
    counted = dict(first)
    for seq, found in facts:
        if found.is_retrieval:
            own, counted[seq] = _settle(connection, seq, found)
            _fill_in(connection, [(seq, own)], at_us)
    for seq, session in link(connection, facts, at_us).items():
        counted[seq] = replace(counted[seq], session=session)
    return [(seq, counted[seq]) for seq, _ in facts]


def _fill_in(connection: Connection, facts: Sequence[tuple[int, Facts]], at_us: int) -> None:
    for column in ("user", "session"):
        tags = [
            {"value": storable(value), "seq": seq}
            for seq, found in facts
            if (value := getattr(found, column))
        ]
        if tags:
            connection.executemany(connection.dialect.set_tag(column), tags)
    corrections = [
        {"outcome": found.outcome, "is_stream": found.is_stream, "seq": seq}
        for seq, found in facts
        if found.outcome is not None or found.is_stream
    ]
    if corrections:
        connection.executemany(_CORRECT, corrections)
    connection.executemany(_ANNOTATE, [(*facts_to_row(found, at_us), seq) for seq, found in facts])
    put_other_ids(connection, [(seq, found.other_response_ids) for seq, found in facts])
    names = [
        name
        for _, found in facts
        for name in (found.response_id, found.session, *found.other_response_ids)
        if name
    ]
    join_waiting(connection, dict.fromkeys(names, at_us))
    if in_sessions := [seq for seq, found in facts if found.session]:
        count_for(connection, in_sessions)


def put_other_ids(connection: Connection, ids: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Store the ids that answers showed beside the one in their row, in the caller's transaction."""
    rows = [(storable(other), seq) for seq, others in ids for other in others]
    if rows:
        connection.executemany(_PUT_OTHER_ID, rows)


def _settle(connection: Connection, seq: int, found: Facts) -> tuple[Facts, Facts]:
    """Give what a retrieval says was used to the request that began it, unless that has it.

    Returns:
        What is left for the retrieval's own row, and what is to be counted now.
    """
    owner = None
    if found.response_id is not None:
        values = {"seq": seq, "response_id": storable(found.response_id)}
        owner = connection.execute(_OWNER, values).fetchone()
    if owner is None:
        return found, found
    owner_seq, started_at_us, is_settled = owner
    rest = replace(found, usage=Usage(), cost=None, response_id=None, outcome=None)
    if is_settled or (found.usage == Usage() and found.cost is None and found.outcome is None):
        return rest, rest
    row = dict(zip(FACT_COLUMNS, facts_to_row(found, 0), strict=True))
    given = {column: row[column] for column in (*GIVEN_COLUMNS, "finish_reason")}
    if not connection.execute(_GIVE, {**given, "outcome": found.outcome, "owner": owner_seq}).rowcount:
        return rest, rest
    break_seals(connection, OF_REQUESTS, [started_at_us])
    return rest, replace(rest, usage=found.usage, cost=found.cost)


def uninterpreted(connection: Connection, workers: Sequence[int], limit: int) -> list[tuple[int, Exchange]]:
    """Return the oldest rows of these workers that were never annotated, with what was kept of them."""
    rows = connection.execute(_uninterpreted(connection.dialect), (orjson.dumps(workers).decode(), limit))
    return [exchange_from_row(row) for row in rows]


def payload(connection: Connection, seq: int) -> Payload | None:
    """Return what was kept of a row's heads and bodies; None where nothing was."""
    row = connection.execute(_exchange(connection.dialect), (seq,)).fetchone()
    return None if row is None else payload_of(exchange_from_row(row)[1])


def size_bytes(exchange: Exchange) -> int:
    """Return about how many bytes an exchange takes in the queue and in the database."""
    return ROW_BYTES + len(exchange.request_body) + len(exchange.response_body)


def _what_tells_apart(exchange: Exchange) -> tuple[str, int, str | None]:
    return (
        storable(exchange.identity.request_id),
        exchange.started_at_us,
        storable_or_none(exchange.tenant),
    )


def _names(exchanges: Sequence[Exchange]) -> dict[str, int]:
    names: dict[str, int] = {}
    for exchange in exchanges:
        names[exchange.identity.trace_id] = names[exchange.identity.request_id] = exchange.ended_at_us
        if session := session_of(exchange.identity.metadata):
            names[session] = exchange.ended_at_us
    return names
