"""Feedback: versions, receipts, summaries, and checks for misread grades."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count, groupby
from typing import Any

from gateway.errors import Conflict, GatewayError
from gateway.models.clock import now_us
from gateway.models.feedback import (
    MAX_SUMMARY_PAIRS,
    Feedback,
    FeedbackPair,
    FeedbackSummary,
    Kind,
    Receipt,
    ScoreSummary,
    Subject,
    Target,
    WaitingFeedback,
)
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort, filter_uses_field
from gateway.models.request import RequestRecord
from gateway.store import erasure, joins, schema
from gateway.store.base import MAX_AWAITED_IDS, MIN_MISREAD_GRADES, OVERDUE_FEEDBACK_US, FeedbackInfo
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect, Parameters, SupportsExecute
from gateway.store.filters import Query, count_rows, select_rows
from gateway.store.prefilters import find_candidate_seqs, request_prefilters
from gateway.store.rows import (
    FEEDBACK_ROWS,
    RECEIPT_ROWS,
    REQUEST_ROWS,
    clean_text,
    clean_text_or_none,
    feedback_to_row,
    list_to_json,
    numbers_to_json,
)
from gateway.store.webhooks import drop_deliveries

_FEEDBACK_COLUMNS = schema.quote_columns(schema.FEEDBACK.columns)
_OWN_COLUMNS = _FEEDBACK_COLUMNS.replace(
    '"original_text"', "CASE WHEN original_id IS NULL THEN original_text END"
).replace('"original_id"', "NULL")
_NUMBERED_COLUMNS = (*schema.FEEDBACK.columns, "change_seq")
_KEEP_VERSION = (
    f"INSERT INTO feedback_versions ({_FEEDBACK_COLUMNS}, change_seq) SELECT {_OWN_COLUMNS}, change_seq"
    " FROM feedback WHERE feedback_id = ?"
)
_SUPERSEDE = (
    f"UPDATE feedback SET {', '.join(f'{column} = ?' for column in _NUMBERED_COLUMNS)} WHERE feedback_id = ?"
)
# No other writer is between this and the commit, so numbers are in the order of commits.
_LAST_CHANGE = """
SELECT coalesce(
    (SELECT max(change_seq) FROM feedback WHERE change_seq > (SELECT last_seq FROM feedback_changes)),
    (SELECT last_seq FROM feedback_changes)
)
"""
_LATEST = f"SELECT {_FEEDBACK_COLUMNS} FROM feedback WHERE feedback_id = ?"
_RECEIPT = f"SELECT {schema.quote_columns(RECEIPT_ROWS.columns)} FROM receipts WHERE scope = ? AND key = ?"
# The conditions are those of the index `feedback_grades`.
_NON_BINARY_GRADE = (
    "SELECT 1 FROM feedback WHERE kind = 'rating' AND grade = value AND value <> 0 AND value <> 1"
    " AND key_name {} LIMIT 1"
)
_ID_COLUMNS = {Target.REQUEST: "request_id", Target.TRACE: "trace_id", Target.SESSION: "session"}
_OF_TENANT = "(CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)"


@cache
def _select_versions(dialect: Dialect) -> str:
    return f"SELECT feedback_id, version FROM feedback WHERE feedback_id {dialect.in_texts('?')}"


@cache
def select_entries(dialect: Dialect) -> str:
    """Select the latest versions of the entries whose ids are bound as a list."""
    return f"SELECT {_FEEDBACK_COLUMNS} FROM feedback WHERE feedback_id {dialect.in_texts('?')}"


@cache
def _select_histories(dialect: Dialect) -> str:
    given = f"feedback_id {dialect.in_texts(':ids')}"
    return (
        f"SELECT {_FEEDBACK_COLUMNS} FROM feedback_versions WHERE {given}"
        f" UNION ALL SELECT {_FEEDBACK_COLUMNS} FROM feedback WHERE {given} ORDER BY version"
    )


@cache
def _select_latest_feedback(dialect: Dialect) -> str:
    is_score = f"kind = '{Kind.SCORE}' AND metric IS NOT NULL AND deleted_at_us IS NULL"
    said = " UNION ALL ".join(
        f"SELECT * FROM feedback WHERE target = '{target}' AND {name} {dialect.in_texts(f':{target}s')}"
        f" AND ({is_score} OR {schema.IS_RATING}) AND {_OF_TENANT}"
        for target, name in _ID_COLUMNS.items()
    )
    return f"""
SELECT {_FEEDBACK_COLUMNS} FROM (
    SELECT *, row_number() OVER (
        PARTITION BY tenant, target, trace_id, request_id, session, CASE WHEN {is_score} THEN metric END
        ORDER BY updated_at_us DESC, seq DESC
    ) AS place
    FROM ({said}) AS said
) AS verdicts
WHERE place = 1 ORDER BY updated_at_us, seq
"""


@cache
def _count_by_author(dialect: Dialect) -> str:
    return f"""
SELECT author, count(*) FROM {dialect.with_index("feedback", "feedback_given")}
WHERE author {dialect.in_texts(":authors")} AND deleted_at_us IS NULL AND {_OF_TENANT}
GROUP BY author
"""


@dataclass(frozen=True, slots=True)
class FeedbackWrite:
    """What one call stores: versions of entries, and their receipt."""

    entries: Sequence[Feedback]
    receipt: Receipt | None = None


def put_feedback(connection: Connection, entries: Sequence[Feedback], receipt: Receipt | None) -> None:
    """Store versions of entries and their receipt. Raises Conflict before anything is written."""
    [refusal] = put_feedback_batch(connection, [FeedbackWrite(entries, receipt)])
    if refusal is not None:
        raise refusal


def put_feedback_batch(connection: Connection, writes: Sequence[FeedbackWrite]) -> list[GatewayError | None]:
    """Store several calls in order; return for each its error or None. Nothing is written of a call with an
    error."""
    refusals = _refusals(connection, writes)
    accepted = [write for write, refusal in zip(writes, refusals, strict=True) if refusal is None]
    stored = _write_versions(connection, [entry for write in accepted for entry in write.entries])
    withdrawn = [entry.feedback_id for entry in stored if entry.deleted_at_us is not None]
    if withdrawn:
        drop_deliveries(connection, withdrawn)
    receipts = [write.receipt for write in accepted if write.receipt is not None]
    if receipts:
        connection.insert("receipts", RECEIPT_ROWS.columns, map(RECEIPT_ROWS.to_row, receipts))
    waiting = [entry.feedback_id for entry in stored if entry.joined_at_us is None]
    if waiting:
        joins.join_new_feedback(connection, waiting)
    joined = [entry.feedback_id for entry in stored if entry.joined_at_us is not None]
    if joined:
        joins.assign_requests(connection, joined)
    # An earlier version may have been one of a pair.
    paired = [entry for entry in stored if entry.kind in joins.PAIRED_KINDS or entry.version > 1]
    joins.update_pairs(connection, [entry.feedback_id for entry in paired])
    return refusals


def feedback_size_bytes(entries: Sequence[Feedback]) -> int:
    """Return about how many bytes entries take in the queue and in the database."""
    return sum(1024 + 2 * len(entry.raw) for entry in entries)


def _refusals(connection: Connection, writes: Sequence[FeedbackWrite]) -> list[GatewayError | None]:
    used = _used_keys(connection, [write.receipt for write in writes if write.receipt is not None])
    versions = _versions_of(connection, [entry.feedback_id for write in writes for entry in write.entries])
    refusals: list[GatewayError | None] = []
    # Each call is checked as if those before it had been stored.
    for write in writes:
        key = None if write.receipt is None else _receipt_key(write.receipt)
        next_versions = dict(versions)
        refusal = Conflict("this idempotency key was used before.") if key in used else None
        refusal = refusal or _version_conflict(write.entries, next_versions)
        if refusal is None:
            versions = next_versions
            if key is not None:
                used.add(key)
        refusals.append(refusal)
    return refusals


def _version_conflict(entries: Sequence[Feedback], versions: dict[str, int]) -> Conflict | None:
    for entry in entries:
        stored = versions.get(entry.feedback_id, 0)
        if entry.version != stored + 1:
            now = f"is at version {stored}" if stored else "does not exist"
            return Conflict(f"feedback {entry.feedback_id} {now}, so version {entry.version} cannot follow.")
        versions[entry.feedback_id] = entry.version
    return None


def _used_keys(connection: Connection, receipts: Sequence[Receipt]) -> set[tuple[str, str]]:
    if not receipts:
        return set()
    sql = f"SELECT scope, key FROM receipts WHERE key {connection.dialect.in_texts('?')}"
    keys = list_to_json([receipt.key for receipt in receipts])
    return {(scope, key) for scope, key in connection.execute(sql, (keys,))}


def _versions_of(connection: Connection, feedback_ids: Sequence[str]) -> dict[str, int]:
    if not feedback_ids:
        return {}
    ids = list_to_json(feedback_ids)
    return dict(connection.execute(_select_versions(connection.dialect), (ids,)).fetchall())


def _receipt_key(receipt: Receipt) -> tuple[str, str]:
    return clean_text(receipt.scope), clean_text(receipt.key)


def _write_versions(connection: Connection, entries: Sequence[Feedback]) -> list[Feedback]:
    stored: list[Feedback] = []
    if not entries:
        return stored
    change_seqs = count(connection.execute(_LAST_CHANGE).fetchone()[0] + 1)
    for is_new, group in groupby(entries, lambda entry: entry.version == 1):
        if is_new:
            new = list(group)
            rows = ((*feedback_to_row(entry), next(change_seqs)) for entry in new)
            connection.insert("feedback", _NUMBERED_COLUMNS, rows)
            stored += new
        else:
            stored += [_supersede(connection, entry, next(change_seqs)) for entry in group]
    return stored


def _supersede(connection: Connection, entry: Feedback, change_seq: int) -> Feedback:
    before = FEEDBACK_ROWS.from_row(connection.execute(_LATEST, (entry.feedback_id,)).fetchone())
    stored = _keep_join(before, entry)
    connection.execute(_KEEP_VERSION, (entry.feedback_id,))
    connection.execute(_SUPERSEDE, (*feedback_to_row(stored), change_seq, entry.feedback_id))
    return stored


def _keep_join(stored: Feedback, entry: Feedback) -> Feedback:
    # It may have been joined after the caller read the version that this one revises.
    if entry.joined_at_us is not None or stored.joined_at_us is None or entry.subject_id != stored.subject_id:
        return entry
    return replace(
        entry,
        joined_at_us=stored.joined_at_us,
        trace_id=stored.trace_id,
        request_id=stored.request_id,
        session=stored.session,
        target=Target(stored.target),
        tenant=stored.tenant,
    )


_REQUEST_COLUMNS = ", ".join(f'requests."{column}"' for column in schema.REQUESTS.columns)


@cache
def _select_summaries(dialect: Dialect) -> str:
    return f"""
SELECT seq, entries, weighted_sum, total_weight, value, weight, kind, target FROM (
    SELECT
        requests.seq, feedback.value, feedback.weight, feedback.kind, feedback.target,
        count(*) OVER of_request AS entries,
        sum(feedback.weight * feedback.score) OVER of_request AS weighted_sum,
        sum(CASE WHEN feedback.score IS NULL THEN 0.0 ELSE feedback.weight END) OVER of_request AS total_weight,
        row_number() OVER (
            PARTITION BY requests.seq
            ORDER BY CASE WHEN feedback.value IS NULL THEN 1 ELSE 0 END,
                feedback.updated_at_us DESC, feedback.seq DESC
        ) AS place
    FROM requests {dialect.ordered_join} feedback ON {schema.is_about_request(dialect)} AND {schema.IS_COUNTED}
    WHERE requests.seq {dialect.in_numbers("?")}
    WINDOW of_request AS (PARTITION BY requests.seq)
) AS said
WHERE place <= {MAX_SUMMARY_PAIRS} ORDER BY seq, place
"""


@cache
def _select_counted_requests(dialect: Dialect) -> str:
    return (
        f"SELECT feedback.feedback_id, {_REQUEST_COLUMNS} FROM feedback JOIN requests ON requests.seq ="
        f" feedback.request_seq"
        f" WHERE feedback.feedback_id {dialect.in_texts('?')}"
    )


@cache
def _select_feedback_of(dialect: Dialect) -> str:
    columns = ", ".join(f'feedback."{column}"' for column in schema.FEEDBACK.columns)
    return f"""
SELECT requests.seq, coalesce(feedback.request_seq = requests.seq, FALSE), {columns}
FROM requests {dialect.ordered_join} feedback ON {schema.is_about_request(dialect)}
WHERE requests.seq {dialect.in_numbers("?")}
ORDER BY requests.seq, feedback.created_at_us, feedback.seq
"""


_OVERDUE = "FROM feedback WHERE joined_at_us IS NULL AND deleted_at_us IS NULL AND created_at_us < ?"
_AWAITED_IDS = f"""
SELECT subject_id, count(*) {_OVERDUE}
GROUP BY subject_id ORDER BY max(created_at_us) DESC, subject_id LIMIT {MAX_AWAITED_IDS}
"""
_MISREAD_GRADES = f"""
SELECT key_name, sum(CASE WHEN score = value / 10 THEN 1 ELSE 0 END) AS misread FROM feedback
WHERE kind = 'rating' AND grade = value AND deleted_at_us IS NULL
GROUP BY key_name
HAVING sum(CASE WHEN value IN (0, 1) THEN 0 ELSE 1 END) = 0
    AND sum(CASE WHEN score = value / 10 THEN 1 ELSE 0 END) >= {MIN_MISREAD_GRADES}
ORDER BY misread DESC, key_name
"""


# Entries that are searched for thumbs given as 0 and 1.
RECENT_ENTRIES = 5_000

_WAITING = f"""
FROM feedback WHERE joined_at_us IS NULL AND deleted_at_us IS NULL AND created_at_us < :before AND {_OF_TENANT}
"""
_COUNT_WAITING = f"SELECT count(*), min(created_at_us) {_WAITING}"
_LATEST_AWAITED = f"SELECT subject_id {_WAITING} ORDER BY created_at_us DESC, seq DESC LIMIT :most"
_RECENT_BINARY_GRADES = f"""
SELECT key_name, count(*) FROM (
    SELECT key_name, kind, grade, value, score FROM feedback WHERE deleted_at_us IS NULL AND {_OF_TENANT}
    ORDER BY created_at_us DESC LIMIT {RECENT_ENTRIES}
) AS recent
WHERE kind = 'rating' AND grade = value AND value IN (0, 1) AND score = value / 10
GROUP BY key_name HAVING count(*) >= {MIN_MISREAD_GRADES} ORDER BY 2 DESC, 1
"""


def inspect_feedback(connection: SupportsExecute) -> FeedbackInfo:
    """Return possible problems with the feedback in a database of this version."""
    before_us = now_us() - OVERDUE_FEEDBACK_US
    [[waiting]] = connection.execute(f"SELECT count(*) {_OVERDUE}", (before_us,))
    awaited = tuple(row[0] for row in connection.execute(_AWAITED_IDS, (before_us,))) if waiting else ()
    misread = tuple((row[0], int(row[1])) for row in connection.execute(_MISREAD_GRADES))
    return FeedbackInfo(waiting, awaited, misread)


def histories_query(feedback_ids: Sequence[str], dialect: Dialect) -> tuple[str, Parameters]:
    """Return the statement and values for all versions of entries, oldest first."""
    return _select_histories(dialect), {"ids": list_to_json(feedback_ids)}


_NOT_DELETED = Comparison("deleted_at_us", Op.EQ, None)


class SqlFeedback(Database):
    """Feedback, receipts and lookups of ids."""

    async def put_feedback(self, entries: Sequence[Feedback], receipt: Receipt | None = None) -> None:
        await self._writer.write_shared(
            put_feedback_batch,
            FeedbackWrite(entries, receipt),
            size_bytes=feedback_size_bytes(entries),
            is_synced=True,
            is_exclusive=True,
        )

    async def remove_feedback(self, feedback_id: str) -> bool:
        query = erasure.receipts_naming_query(feedback_id, self._dialect)
        receipts = await self._primary.read(lambda connection: connection.fetch_all(query.sql, query.values))
        return await self._write_exclusively(erasure.delete_entry, feedback_id, receipts)

    async def find_feedback(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Feedback]:
        return [FEEDBACK_ROWS.from_row(row) for row in await self._fetch_feedback(where, sort, page, tenant)]

    async def count_feedback(self, where: Filter, page: Page, tenant: str | None) -> int:
        number: int = (await self._fetch_feedback(where, Sort(), page, tenant, count_rows))[0][0]
        return number

    async def _fetch_feedback(
        self,
        where: Filter,
        sort: Sort,
        page: Page,
        tenant: str | None,
        finish: Callable[[Query], Query] = lambda found: found,
    ) -> list[Any]:
        if not filter_uses_field(where, "deleted_at_us"):
            where = AllOf((where, _NOT_DELETED))
        implied = request_prefilters(where, self._dialect)

        async def find(connection: AsyncConnection) -> list[Any]:
            seqs = None
            if implied:
                await connection.begin_snapshot()
                seqs = await find_candidate_seqs(connection, implied)
            query = select_rows(
                schema.FEEDBACK, where, sort, page, tenant, self._dialect,
                candidate_seqs=seqs, candidate_column="request_seq",
            )  # fmt: skip
            query = finish(query)
            return await connection.fetch_all(query.sql, query.values)

        return await self._replica.query(find)

    async def latest_feedback(self, records: Sequence[RequestRecord], tenant: str | None) -> list[Feedback]:
        names = {
            f"{target}s": list_to_json(list({getattr(record, name) for record in records} - {None}))
            for target, name in _ID_COLUMNS.items()
        }
        values = {**names, "tenant": clean_text_or_none(tenant)}
        rows = await self._query_rows(_select_latest_feedback(self._dialect), values)
        return [FEEDBACK_ROWS.from_row(row) for row in rows]

    async def count_feedback_by_author(self, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
        values = {"authors": list_to_json(authors), "tenant": clean_text_or_none(tenant)}
        return dict(await self._query_rows(_count_by_author(self._dialect), values))

    async def feedback_summaries(self, seqs: Sequence[int]) -> dict[int, FeedbackSummary]:
        scores: dict[int, ScoreSummary] = {}
        pairs: dict[int, list[FeedbackPair]] = {}
        rows = await self._query_rows(_select_summaries(self._dialect), (numbers_to_json(seqs),))
        for seq, entries, weighted_sum, total_weight, value, weight, kind, target in rows:
            scores[seq] = ScoreSummary(entries, weighted_sum or 0.0, total_weight)
            if value is not None:
                pair = FeedbackPair(value, weight, Kind(kind), Target(target))
                pairs.setdefault(seq, []).append(pair)
        return {seq: FeedbackSummary(score, tuple(pairs.get(seq, ()))) for seq, score in scores.items()}

    async def feedback_of(
        self, seqs: Sequence[int], *, in_background: bool = False
    ) -> dict[int, list[tuple[Feedback, bool]]]:
        sql, values = _select_feedback_of(self._dialect), (numbers_to_json(seqs),)

        async def find(connection: AsyncConnection) -> list[Any]:
            return await connection.fetch_all(sql, values)

        found: dict[int, list[tuple[Feedback, bool]]] = {}
        rows = await (self._replica.read(find) if in_background else self._replica.query(find))
        for seq, is_counted, *row in rows:
            found.setdefault(seq, []).append((FEEDBACK_ROWS.from_row(row), bool(is_counted)))
        return found

    async def counted_requests(self, feedback_ids: Sequence[str]) -> dict[str, RequestRecord]:
        rows = await self._query_rows(_select_counted_requests(self._dialect), (list_to_json(feedback_ids),))
        return {feedback_id: REQUEST_ROWS.from_row(row) for feedback_id, *row in rows}

    async def feedback_by_ids(self, feedback_ids: Sequence[str]) -> list[Feedback]:
        rows = await self._primary.fetch_all(select_entries(self._dialect), (list_to_json(feedback_ids),))
        entries = {entry.feedback_id: entry for entry in map(FEEDBACK_ROWS.from_row, rows)}
        return [entries[name] for name in map(clean_text, feedback_ids) if name in entries]

    async def history(self, feedback_id: str) -> list[Feedback]:
        rows = await self._primary.fetch_all(*histories_query([feedback_id], self._dialect))
        return [FEEDBACK_ROWS.from_row(row) for row in rows]

    async def histories(self, feedback_ids: Sequence[str]) -> dict[str, list[Feedback]]:
        sql, values = histories_query(feedback_ids, self._dialect)
        found: dict[str, list[Feedback]] = {}
        for row in await self._replica.read(lambda connection: connection.fetch_all(sql, values)):
            entry = FEEDBACK_ROWS.from_row(row)
            found.setdefault(entry.feedback_id, []).append(entry)
        return found

    async def waiting_feedback(self, before_us: int, tenant: str | None) -> WaitingFeedback:
        values = {"before": before_us, "tenant": clean_text_or_none(tenant), "most": MAX_AWAITED_IDS}
        [[count, oldest_at_us]] = await self._query_rows(_COUNT_WAITING, values)
        found = await self._query_rows(_LATEST_AWAITED, values) if count else ()
        return WaitingFeedback(count, oldest_at_us, tuple(dict.fromkeys(row[0] for row in found)))

    async def recent_binary_grades(self, tenant: str | None) -> dict[str | None, int]:
        values = {"tenant": clean_text_or_none(tenant)}
        return dict(await self._query_rows(_RECENT_BINARY_GRADES, values))

    async def has_non_binary_grades(self, key_name: str | None) -> bool:
        if key_name is None:
            return await self._primary.fetch_one(_NON_BINARY_GRADE.format("IS NULL")) is not None
        values = (clean_text(key_name),)
        return await self._primary.fetch_one(_NON_BINARY_GRADE.format("= ?"), values) is not None

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        row = await self._primary.fetch_one(_RECEIPT, (clean_text(scope), clean_text(key)))
        return None if row is None else RECEIPT_ROWS.from_row(row)

    async def resolve(
        self,
        ids: Sequence[str],
        tenant: str | None,
        target: Target = Target.TRACE,
        trace_id: str | None = None,
    ) -> dict[str, list[Subject]]:
        values = [joins.subject_values(name, tenant, trace_id) for name in ids]
        found = await self._primary.fetch_first_of_each(joins.SUBJECT_LOOKUPS[target], values)
        return {name: [Subject(*row) for row in rows] for name, rows in zip(ids, found, strict=True) if rows}

    async def _query_rows(self, sql: str, values: Parameters) -> list[Any]:
        return await self._replica.query(lambda connection: connection.fetch_all(sql, values))
