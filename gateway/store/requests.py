"""Request log: append, annotate, import (what counts as a duplicate), search, set properties."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from gateway.errors import BadInput
from gateway.models.exchange import Exchange, PayloadPolicy, lowercase_ascii
from gateway.models.feedback import Receipt, Target, single_subject
from gateway.models.filters import Filter, Page, Sort, filter_uses_field
from gateway.models.request import METADATA_COLUMNS, METADATA_KEYS, Facts, Payload, RequestRecord, Usage
from gateway.store import feedback, joins, rollups, schema
from gateway.store.base import NewRows
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query, count_rows, select_rows
from gateway.store.prefilters import find_candidate_seqs, prefilters
from gateway.store.rows import (
    REQUEST_ROWS,
    Packer,
    clean_text,
    clean_text_or_none,
    exchange_from_row,
    facts_to_row,
    from_json,
    list_to_json,
    metadata_values,
    numbers_to_json,
    payload_from_exchange,
    payload_to_row,
    request_to_row,
    session_from_metadata,
    to_json,
)

_ANNOTATE = (
    f"UPDATE requests SET {', '.join(f'{column} = ?' for column in schema.ANNOTATED_COLUMNS)}"
    " WHERE seq = ? AND interpreted_at_us IS NULL"
)
_CORRECT = (
    "UPDATE requests SET outcome = coalesce(:outcome, outcome), is_stream = coalesce(:is_stream, is_stream)"
    " WHERE seq = :seq AND interpreted_at_us IS NULL"
)
_NEW_ROWS = """
SELECT max(seq), count(*), min(CASE WHEN interpreted_at_us IS NULL THEN seq END) FROM requests WHERE seq > ?
"""
_INSERT_RESPONSE_ID = "INSERT INTO other_response_ids (response_id, seq) VALUES (?, ?) ON CONFLICT DO NOTHING"
# A request whose usage is known comes first, so that a second retrieval finds that it was counted.
_FIND_ORIGINAL_REQUEST = """
SELECT owner.seq, owner.started_at_us,
    owner.prompt_tokens IS NOT NULL OR owner.completion_tokens IS NOT NULL OR owner.outcome = 'provider_error'
FROM requests AS owner JOIN requests AS own ON own.seq = :seq
WHERE owner.response_id = :response_id AND owner.seq <> own.seq
    AND owner.provider = own.provider AND owner.tenant IS NOT DISTINCT FROM own.tenant
ORDER BY 3 DESC, owner.seq LIMIT 1
"""
_SET_RETRIEVED_USAGE = f"""
UPDATE requests SET
    {", ".join(f"{column} = :{column}" for column in schema.RETRIEVED_COLUMNS)},
    outcome = coalesce(:outcome, outcome), finish_reason = coalesce(:finish_reason, finish_reason)
WHERE seq = :owner AND prompt_tokens IS NULL AND completion_tokens IS NULL
"""
# About the size of a row without its bodies.
REQUEST_ROW_BYTES = 2048


@cache
def _select_exchanges(dialect: Dialect) -> str:
    columns = [f'r."{column}"' for column in schema.REQUEST_INSERT_COLUMNS]
    columns += [dialect.payload_column(column) for column in schema.PAYLOAD_COLUMNS[1:]]
    is_its = dialect.is_payload_of("p", "r")
    return f"SELECT {', '.join(columns)} FROM requests AS r LEFT JOIN payloads AS p ON {is_its}"


@cache
def select_payloads(dialect: Dialect) -> str:
    """Select the payloads of the rows whose `seq`s are bound as a list."""
    return f"{_select_exchanges(dialect)} WHERE r.seq {dialect.in_numbers('?')} AND p.seq IS NOT NULL"


@cache
def select_uninterpreted(dialect: Dialect) -> str:
    """Select the oldest rows without facts of the worker slots that are bound as a list."""
    return (
        f"{_select_exchanges(dialect)} WHERE r.interpreted_at_us IS NULL AND r.worker {dialect.in_numbers('?')}"
        " ORDER BY r.seq LIMIT ?"
    )


def append_exchanges(
    connection: Connection, packer: Packer, exchanges: Sequence[Exchange], worker: int = 0
) -> list[int]:
    """Insert exchanges, join the feedback that waited for them, and return their `seq`s."""
    seqs = connection.dialect.allocate_seqs(connection, len(exchanges))
    numbered = list(zip(seqs, exchanges, strict=True))
    rows = ((*request_to_row(seq, exchange), worker) for seq, exchange in numbered)
    insert_requests(connection, packer, (*schema.REQUEST_INSERT_COLUMNS, "worker"), rows, numbered)
    connect_requests(connection, numbered, _joinable_ids(exchanges))
    return list(seqs)


def insert_requests(
    connection: Connection,
    packer: Packer,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    numbered: Sequence[tuple[int, Exchange]],
) -> None:
    """Insert rows of `requests`, and the payloads of the exchanges that they are made of."""
    connection.insert("requests", columns, rows)
    kept = ((seq, exchange) for seq, exchange in numbered if exchange.payloads is not PayloadPolicy.OFF)
    payload_columns = schema.payload_columns(packer.columns, packer.copied_columns)
    payloads = (payload_to_row(seq, exchange, packer) for seq, exchange in kept)
    connection.insert("payloads", payload_columns, payloads)


def connect_requests(
    connection: Connection, numbered: Sequence[tuple[int, Exchange]], ids: Mapping[str, int]
) -> None:
    """Invalidate rollups, and join the feedback that waits for these ids, after rows were inserted."""
    times_us = [exchange.started_at_us for _, exchange in numbered]
    rollups.invalidate_rollups(connection, rollups.REQUEST_KINDS, times_us)
    joins.join_waiting_feedback(connection, ids)
    joins.reassign_requests(connection, [seq for seq, _ in numbered])


def find_missing(connection: Connection, exchanges: Sequence[Exchange]) -> list[int]:
    """Return the positions of exchanges that are not stored; of duplicates only the first."""
    query = _same_requests_query(exchanges, connection.dialect)
    return _missing_positions(exchanges, connection.execute(query.sql, query.values))


def _same_requests_query(exchanges: Sequence[Exchange], dialect: Dialect) -> Query:
    identities = {_identity_of(exchange) for exchange in exchanges}
    # Times are no help to find few rows: all of a batch may be close together.
    started = f"{dialect.without_index('started_at_us')} {dialect.in_numbers('?')}"
    return Query(
        "SELECT request_id, started_at_us, tenant FROM requests"
        f" WHERE request_id {dialect.in_texts('?')} AND {started}",
        (
            list_to_json([request_id for request_id, _, _ in identities]),
            numbers_to_json([start for _, start, _ in identities]),
        ),
    )


def _missing_positions(exchanges: Sequence[Exchange], stored: Iterable[Sequence[Any]]) -> list[int]:
    positions: dict[tuple[str, int, str | None], int] = {}
    for position, exchange in enumerate(exchanges):
        positions.setdefault(_identity_of(exchange), position)
    for request_id, started_at_us, tenant in stored:
        positions.pop((request_id, started_at_us, tenant), None)
    return list(positions.values())


def append_missing(
    connection: Connection,
    packer: Packer,
    imported: Sequence[tuple[Exchange, Facts | None]],
    worker: int,
    at_us: int,
) -> int:
    """Append those that are not stored yet, add their facts, and return their number."""
    new = [imported[place] for place in find_missing(connection, [exchange for exchange, _ in imported])]
    seqs = append_exchanges(connection, packer, [exchange for exchange, _ in new], worker)
    known_facts = zip(seqs, [facts for _, facts in new], strict=True)
    annotate_requests(connection, [(seq, facts) for seq, facts in known_facts if facts is not None], at_us)
    return len(new)


def annotate_requests(
    connection: Connection, facts: Sequence[tuple[int, Facts]], at_us: int
) -> list[tuple[int, Facts]]:
    """Add facts to rows without facts; return the facts that are to be counted, without usage counted before."""
    # Usage from a retrieval goes to the row of the request that caused it, and only once.
    first = [(seq, found) for seq, found in facts if not found.is_retrieval]
    _fill_in(connection, first, at_us)
    counted = dict(first)
    for seq, found in facts:
        if found.is_retrieval:
            own, counted[seq] = _apply_retrieval(connection, seq, found)
            _fill_in(connection, [(seq, own)], at_us)
    for seq, session in joins.link_conversations(connection, facts, at_us).items():
        counted[seq] = replace(counted[seq], session=session)
    return [(seq, counted[seq]) for seq, _ in facts]


def _fill_in(connection: Connection, facts: Sequence[tuple[int, Facts]], at_us: int) -> None:
    for column in ("user", "session"):
        values = ((seq, getattr(found, column)) for seq, found in facts)
        tags = [{"value": clean_text(value), "seq": seq} for seq, value in values if value]
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
    insert_response_ids(connection, [(seq, found.other_response_ids) for seq, found in facts])
    ids = (one for _, found in facts for one in (found.response_id, found.session, *found.other_response_ids))
    joins.join_waiting_feedback(connection, dict.fromkeys(filter(None, ids), at_us))
    if in_sessions := [seq for seq, found in facts if found.session]:
        joins.reassign_requests(connection, in_sessions)


def insert_response_ids(connection: Connection, ids: Iterable[tuple[int, Sequence[str]]]) -> None:
    rows = [(clean_text(other), seq) for seq, others in ids for other in others]
    if rows:
        connection.executemany(_INSERT_RESPONSE_ID, rows)


def _apply_retrieval(connection: Connection, seq: int, found: Facts) -> tuple[Facts, Facts]:
    original = None
    if found.response_id is not None:
        values = {"seq": seq, "response_id": clean_text(found.response_id)}
        original = connection.execute(_FIND_ORIGINAL_REQUEST, values).fetchone()
    if original is None:
        return found, found
    original_seq, started_at_us, has_usage = original
    rest = replace(found, usage=Usage(), cost=None, response_id=None, outcome=None)
    if has_usage or (found.usage == Usage() and found.cost is None and found.outcome is None):
        return rest, rest
    row = dict(zip(schema.ANNOTATED_COLUMNS, facts_to_row(found, 0), strict=True))
    given = {column: row[column] for column in (*schema.RETRIEVED_COLUMNS, "finish_reason")}
    values = {**given, "outcome": found.outcome, "owner": original_seq}
    if not connection.execute(_SET_RETRIEVED_USAGE, values).rowcount:
        return rest, rest
    rollups.invalidate_rollups(connection, rollups.REQUEST_KINDS, [started_at_us])
    return rest, replace(rest, usage=found.usage, cost=found.cost)


def exchange_size_bytes(exchange: Exchange) -> int:
    """Return about how many bytes an exchange takes in the queue and in the database."""
    return REQUEST_ROW_BYTES + len(exchange.request_body) + len(exchange.response_body)


def _identity_of(exchange: Exchange) -> tuple[str, int, str | None]:
    tenant = clean_text_or_none(exchange.tenant)
    return clean_text(exchange.identity.request_id), exchange.started_at_us, tenant


def _joinable_ids(exchanges: Sequence[Exchange]) -> dict[str, int]:
    names: dict[str, int] = {}
    for exchange in exchanges:
        names[exchange.identity.trace_id] = names[exchange.identity.request_id] = exchange.ended_at_us
        if session := session_from_metadata(exchange.identity.metadata):
            names[session] = exchange.ended_at_us
    return names


# Longest metadata of a row that setting a property may produce, as JSON.
MAX_METADATA_BYTES = 256 * 1024

_KNOWN_KEYS = frozenset((*METADATA_KEYS, "_model"))

_SET_TAGS = ", ".join(f'"{column}" = ?' for column in METADATA_COLUMNS)
_UPDATE_METADATA = f"UPDATE requests SET metadata = ?, {_SET_TAGS} WHERE seq = ?"


@cache
def _select_request_rows(dialect: Dialect) -> str:
    # Traces may be long where a request id is not.
    return (
        "SELECT seq, metadata, started_at_us FROM requests"
        f" WHERE request_id = ? AND {dialect.without_index('trace_id')} = ? AND tenant IS NOT DISTINCT FROM ?"
    )


def set_property(connection: Connection, any_id: str, key: str, value: str, tenant: str | None) -> int:
    """Set a metadata key and its column in the rows of a request; return their number. Raises Ambiguous or
    BadInput."""
    subjects = joins.find_subjects(connection, any_id, tenant, Target.REQUEST)
    named = single_subject(any_id, subjects, field="request_id")
    if named is None:
        return 0
    values = (named.request_id, named.trace_id, named.tenant)
    rows = connection.execute(_select_request_rows(connection.dialect), values).fetchall()
    changes, times_us, sessions = [], [], {}
    for seq, text, started_at_us in rows:
        metadata = _with_property(from_json(text), clean_text(key), value)
        changed = to_json(metadata)
        if len(changed.encode()) > MAX_METADATA_BYTES:
            raise BadInput(
                f"the request's properties would be longer than {MAX_METADATA_BYTES:,} bytes.", field="value"
            )
        changes.append((changed, *metadata_values(metadata), seq))
        times_us.append(started_at_us)
        if session := session_from_metadata(metadata):
            sessions[session] = started_at_us
    seqs = [row[0] for row in rows]
    connection.executemany(_UPDATE_METADATA, changes)
    rollups.invalidate_rollups(connection, rollups.ROLLUP_KINDS, times_us)
    joins.join_waiting_feedback(connection, sessions)
    if lowercase_ascii(clean_text(key)) == "_session":
        of_them = f"request_seq {connection.dialect.in_numbers('?')} AND target = '{Target.SESSION}'"
        sql = f"SELECT feedback_id FROM feedback WHERE {of_them}"
        found = connection.execute(sql, (numbers_to_json(seqs),))
        joins.reassign_requests(connection, seqs, [row[0] for row in found])
    return len(changes)


def _with_property(metadata: Mapping[str, object], key: str, value: str) -> dict[str, object]:
    # Helicone's properties do not differ by case, and keys with a column have one spelling.
    small = lowercase_ascii(key)
    others = {name: item for name, item in metadata.items() if lowercase_ascii(name) != small}
    return {**others, small if small in _KNOWN_KEYS else key: value}


class SqlRequests(Database):
    """Requests and their payloads."""

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        if not exchanges:
            return []
        size = sum(map(exchange_size_bytes, exchanges))
        return await self._writer.write(
            lambda connection: append_exchanges(connection, self._packer, exchanges, self._worker_slots[0]),
            size_bytes=size,
        )

    async def insert(self, exchanges: Sequence[Exchange], receipt: Receipt | None = None) -> list[int]:
        def insert(connection: Connection) -> list[int]:
            feedback.put_feedback(connection, (), receipt)
            return append_exchanges(connection, self._packer, exchanges, self._worker_slots[0])

        size = sum(map(exchange_size_bytes, exchanges))
        return await self._writer.write(insert, size_bytes=size, is_synced=True, is_exclusive=True)

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> list[tuple[int, Facts]]:
        if not facts:
            return []
        size = REQUEST_ROW_BYTES * len(facts)

        def annotate(connection: Connection) -> list[tuple[int, Facts]]:
            return annotate_requests(connection, facts, at_us)

        if any(found.previous_response_id is not None for _, found in facts):
            # The answer that one continues may be being interpreted elsewhere.
            return await self._writer.write(annotate, size_bytes=size, is_exclusive=True)
        return await self._writer.write_deferred(annotate, size_bytes=size)

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        values = (numbers_to_json(self._worker_slots), limit)
        rows = await self._primary.fetch_all(select_uninterpreted(self._dialect), values)
        return [exchange_from_row(row) for row in rows]

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        query = _same_requests_query(exchanges, self._dialect)
        return _missing_positions(exchanges, await self._primary.fetch_all(query.sql, query.values))

    async def append_missing(self, imported: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        if not imported:
            return 0
        size = sum(exchange_size_bytes(exchange) for exchange, _ in imported)
        return await self._writer.write(
            lambda connection: append_missing(
                connection, self._packer, imported, self._worker_slots[0], at_us
            ),
            size_bytes=size,
            is_exclusive=True,
        )

    async def find_requests(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> list[RequestRecord]:
        is_costly = _searches_bodies(where, sort)
        rows = await self._fetch_page(where, sort, page, tenant, in_background, is_costly=is_costly)
        return [REQUEST_ROWS.from_row(row) for row in rows]

    async def count_requests(
        self, where: Filter, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> int:
        found = self._fetch_page(
            where, Sort(), page, tenant, in_background, is_costly=True, finish=count_rows
        )
        number: int = (await found)[0][0]
        return number

    async def new_rows(self, after: int) -> NewRows | None:
        top, number, first_unread = await self._replica.fetch_one(_NEW_ROWS, (after,))
        return None if top is None else NewRows(top, number, first_unread)

    async def payload(self, seq: int) -> Payload | None:
        rows = await self._primary.fetch_all(select_payloads(self._dialect), (numbers_to_json([seq]),))
        return payloads_from_rows(rows).get(seq)

    async def payloads(self, seqs: Sequence[int], *, in_background: bool = False) -> dict[int, Payload]:
        sql, values = select_payloads(self._dialect), (numbers_to_json(seqs),)

        async def find(connection: AsyncConnection) -> list[Any]:
            return await connection.fetch_all(sql, values)

        found = self._replica.read(find) if in_background else self._replica.query(find)
        return payloads_from_rows(await found)

    async def _fetch_page(
        self,
        where: Filter,
        sort: Sort,
        page: Page,
        tenant: str | None,
        in_background: bool,
        *,
        is_costly: bool,
        finish: Callable[[Query], Query] = lambda query: query,
    ) -> list[Any]:
        implied = prefilters(where, self._dialect)

        async def find(connection: AsyncConnection) -> list[Any]:
            candidate_seqs = None
            if implied:
                await connection.begin_snapshot()
                candidate_seqs = await find_candidate_seqs(connection, implied)
            table, dialect = schema.REQUESTS, self._dialect
            found = select_rows(table, where, sort, page, tenant, dialect, candidate_seqs=candidate_seqs)
            query = finish(found)
            return await connection.fetch_all(query.sql, query.values)

        if in_background:
            return await self._replica.read(find)
        return await self._replica.query(find, is_costly=is_costly)

    async def set_property(self, any_id: str, key: str, value: str, tenant: str | None) -> int:
        return await self._writer.write(
            lambda connection: set_property(connection, any_id, key, value, tenant),
            size_bytes=REQUEST_ROW_BYTES + len(value),
            is_synced=True,
            is_exclusive=True,
        )


def payloads_from_rows(rows: Iterable[Sequence[Any]]) -> dict[int, Payload]:
    """Return the payloads in rows of `select_payloads`, by `seq`."""
    exchanges = map(exchange_from_row, rows)
    return {seq: payload_from_exchange(exchange) for seq, exchange in exchanges}


def _searches_bodies(where: Filter, sort: Sort) -> bool:
    key: Sort | None = sort
    while key is not None:
        if key.field in schema.REQUESTS.costly:
            return True
        key = key.then
    return any(filter_uses_field(where, name) for name in schema.REQUESTS.costly)
