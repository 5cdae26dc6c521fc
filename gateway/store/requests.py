"""Request log: append, annotate, insert complete rows, search, set properties."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from gateway.errors import BadInput
from gateway.models.exchange import Exchange, PayloadPolicy, lowercase_ascii
from gateway.models.feedback import Receipt, Target, single_subject
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort, filter_uses_field
from gateway.models.request import METADATA_COLUMNS, METADATA_KEYS, Facts, Payload, RequestRecord, Usage
from gateway.store import feedback, joins, rollups, schema
from gateway.store.base import NewRows
from gateway.store.body_codecs import Packer
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query, count_rows, select_rows
from gateway.store.prefilters import find_candidate_seqs, prefilters
from gateway.store.rows import (
    REQUEST_ROWS,
    clean_text,
    clean_text_or_none,
    complete_row,
    exchange_from_row,
    facts_to_row,
    from_json,
    metadata_values,
    numbers_to_json,
    payload_from_row,
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
FROM requests AS owner
WHERE owner.response_id = :response_id AND owner.seq <> :seq
    AND owner.provider = :provider AND owner.tenant IS NOT DISTINCT FROM :tenant
ORDER BY 3 DESC, owner.seq LIMIT 1
"""
_OWNER_OF = "SELECT provider, tenant FROM requests WHERE seq = ?"
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
    columns = ["r.seq", "r.payloads", "r.request_size", "r.response_size"]
    columns += [dialect.payload_column(column) for column in schema.PAYLOAD_COLUMNS[1:]]
    joined = f"requests AS r JOIN payloads AS p ON {dialect.is_payload_of('p', 'r')}"
    return f"SELECT {', '.join(columns)} FROM {joined} WHERE r.seq {dialect.in_numbers('?')}"


@cache
def select_uninterpreted(dialect: Dialect) -> str:
    """Select the oldest rows without facts."""
    return f"{_select_exchanges(dialect)} WHERE r.interpreted_at_us IS NULL ORDER BY r.seq LIMIT ?"


def append_exchanges(connection: Connection, packer: Packer, exchanges: Sequence[Exchange]) -> list[int]:
    """Insert exchanges, join the feedback that waited for them, and return their `seq`s."""
    seqs = connection.dialect.allocate_seqs(connection, len(exchanges))
    numbered = list(zip(seqs, exchanges, strict=True))
    rows = (request_to_row(seq, exchange) for seq, exchange in numbered)
    insert_requests(connection, packer, schema.REQUEST_INSERT_COLUMNS, rows, numbered)
    connect_requests(connection, numbered, _joinable_ids(exchanges))
    return list(seqs)


def ingest_exchanges(
    connection: Connection, packer: Packer, rows: Sequence[tuple[Exchange, Facts]], at_us: int
) -> list[tuple[int, Facts]]:
    """Insert exchanges with their facts; return `seq`s and the facts that are to be counted, without usage that was
    counted before."""
    seqs = connection.dialect.allocate_seqs(connection, len(rows))
    numbered = [(seq, exchange, found) for seq, (exchange, found) in zip(seqs, rows, strict=True)]
    _insert_complete(connection, packer, [each for each in numbered if not each[2].is_retrieval], at_us)
    counted = {seq: found for seq, _, found in numbered}
    for seq, exchange, found in numbered:
        # Usage from a retrieval goes to the row of the request that caused it, and only once.
        if found.is_retrieval:
            provider, tenant = clean_text(exchange.provider), clean_text_or_none(exchange.tenant)
            own, counted[seq] = _apply_retrieval(connection, seq, provider, tenant, found)
            _insert_complete(connection, packer, [(seq, exchange, own)], at_us)
    _connect(connection, seqs, rows, at_us)
    in_chains = [
        (seq, found)
        for seq, exchange, found in numbered
        if exchange.endpoint not in joins.NEVER_CONTINUED or found.previous_response_id is not None
    ]
    for seq, session in joins.link_conversations(connection, in_chains, at_us).items():
        counted[seq] = replace(counted[seq], session=session)
    return [(seq, counted[seq]) for seq in seqs]


def _insert_complete(
    connection: Connection, packer: Packer, rows: Sequence[tuple[int, Exchange, Facts]], at_us: int
) -> None:
    complete = (complete_row(seq, exchange, found, at_us) for seq, exchange, found in rows)
    numbered = [(seq, exchange) for seq, exchange, _ in rows]
    insert_requests(connection, packer, schema.COMPLETE_COLUMNS, complete, numbered)
    insert_response_ids(connection, [(seq, found.other_response_ids) for seq, _, found in rows])


def _connect(
    connection: Connection, seqs: Sequence[int], rows: Sequence[tuple[Exchange, Facts]], at_us: int
) -> None:
    times_us = [exchange.started_at_us for exchange, _ in rows]
    rollups.invalidate_rollups(connection, rollups.REQUEST_KINDS, times_us)
    if joins.has_waiting_feedback(connection):
        joins.join_waiting_feedback(
            connection,
            _ids_in_facts([found for _, found in rows], at_us)
            | _joinable_ids([exchange for exchange, _ in rows]),
        )
    joins.reassign_requests(connection, seqs)


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
            provider, tenant = connection.execute(_OWNER_OF, (seq,)).fetchone()
            own, counted[seq] = _apply_retrieval(connection, seq, provider, tenant, found)
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
    joins.join_waiting_feedback(connection, _ids_in_facts([found for _, found in facts], at_us))
    if in_sessions := [seq for seq, found in facts if found.session]:
        joins.reassign_requests(connection, in_sessions)


def insert_response_ids(connection: Connection, ids: Iterable[tuple[int, Sequence[str]]]) -> None:
    rows = [(clean_text(other), seq) for seq, others in ids for other in others]
    if rows:
        connection.executemany(_INSERT_RESPONSE_ID, rows)


def _apply_retrieval(
    connection: Connection, seq: int, provider: str, tenant: str | None, found: Facts
) -> tuple[Facts, Facts]:
    """Give a retrieved usage to the request that caused it; return the facts of the row and those to be counted."""
    original = None
    if found.response_id is not None:
        response_id = clean_text(found.response_id)
        values: dict[str, object] = {
            "seq": seq,
            "response_id": response_id,
            "provider": provider,
            "tenant": tenant,
        }
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


def _joinable_ids(exchanges: Sequence[Exchange]) -> dict[str, int]:
    names: dict[str, int] = {}
    for exchange in exchanges:
        names[exchange.identity.trace_id] = names[exchange.identity.request_id] = exchange.ended_at_us
        if session := session_from_metadata(exchange.identity.metadata):
            names[session] = exchange.ended_at_us
    return names


def _ids_in_facts(facts: Sequence[Facts], at_us: int) -> dict[str, int]:
    ids = (one for found in facts for one in (found.response_id, found.session, *found.other_response_ids))
    return dict.fromkeys(filter(None, ids), at_us)


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
            lambda connection: append_exchanges(connection, self._packer, exchanges),
            size_bytes=size,
        )

    async def insert(
        self, rows: Sequence[tuple[Exchange, Facts]], at_us: int, receipt: Receipt | None = None
    ) -> list[tuple[int, Facts]]:
        def insert(connection: Connection) -> list[tuple[int, Facts]]:
            feedback.put_feedback(connection, (), receipt)
            return ingest_exchanges(connection, self._packer, rows, at_us)

        size = sum(exchange_size_bytes(exchange) for exchange, _ in rows)
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
        rows = await self._primary.fetch_all(select_uninterpreted(self._dialect), (limit,))
        return [exchange_from_row(row) for row in rows]

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

    async def request_seqs(
        self, where: Filter, after: int, limit: int, tenant: str | None, *, in_background: bool = False
    ) -> list[int]:
        # Without the condition where it is not needed, since it keeps prefilters off.
        following = AllOf((where, Comparison("seq", Op.GT, after))) if after else where
        page, sort = Page(limit), Sort("seq", descending=False)
        is_costly = _searches_bodies(where, sort)
        rows = await self._fetch_page(
            following, sort, page, tenant, in_background, is_costly=is_costly, finish=_select_seqs
        )
        return sorted(row[0] for row in rows)

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
    return dict(map(payload_from_row, rows))


def _select_seqs(found: Query) -> Query:
    return Query(f"SELECT seq FROM ({found.sql}) AS found", found.values)


def _searches_bodies(where: Filter, sort: Sort) -> bool:
    key: Sort | None = sort
    while key is not None:
        if key.field in schema.REQUESTS.costly:
            return True
        key = key.then
    return any(filter_uses_field(where, name) for name in schema.REQUESTS.costly)
