"""Writing and reading feedback: its latest versions, the earlier ones, and receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

from gateway.domain.feedback import Feedback, Kind, Receipt, Target
from gateway.domain.request import RequestRecord
from gateway.errors import Conflict, GatewayError
from gateway.store.computed import IS_RATING
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.counting import count
from gateway.store.relational.edit_pairs import PAIRED, pair_all_of
from gateway.store.relational.joining import join_given
from gateway.store.rows import feedback_from_row, feedback_to_row, receipt_from_row
from gateway.store.tables import FEEDBACK, RECEIPT_COLUMNS, quoted
from gateway.store.text import list_to_json, storable, storable_or_none

_COLUMNS = quoted(FEEDBACK.columns)
_OWN_COLUMNS = _COLUMNS.replace(
    '"original_text"', "CASE WHEN original_id IS NULL THEN original_text END"
).replace('"original_id"', "NULL")
_KEEP_VERSION = (
    f"INSERT INTO feedback_versions ({_COLUMNS}) SELECT {_OWN_COLUMNS} FROM feedback WHERE feedback_id = ?"
)
_SUPERSEDE = (
    f"UPDATE feedback SET {', '.join(f'{column} = ?' for column in FEEDBACK.columns)} WHERE feedback_id = ?"
)
_LATEST = f"SELECT {_COLUMNS} FROM feedback WHERE feedback_id = ?"
_EARLIER = f"SELECT {_COLUMNS} FROM feedback_versions WHERE feedback_id = ? ORDER BY version"
_RECEIPT = f"SELECT {quoted(RECEIPT_COLUMNS)} FROM receipts WHERE scope = ? AND key = ?"
_OTHER_GRADE = (
    "SELECT 1 FROM feedback WHERE kind = 'rating' AND grade = value AND value <> 0 AND value <> 1"
    " AND key_name {} LIMIT 1"
)
"""Its conditions are those of the index `feedback_grades`."""
_NAME_OF = {Target.REQUEST: "request_id", Target.TRACE: "trace_id", Target.SESSION: "session"}
_OF_TENANT = "(CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)"


@cache
def _used(dialect: Dialect) -> str:
    return f"SELECT scope, key FROM receipts WHERE key {dialect.among_texts('?')}"


@cache
def _versions(dialect: Dialect) -> str:
    return f"SELECT feedback_id, version FROM feedback WHERE feedback_id {dialect.among_texts('?')}"


@cache
def _latest_verdicts(dialect: Dialect) -> str:
    is_score = f"kind = '{Kind.SCORE}' AND metric IS NOT NULL AND deleted_at_us IS NULL"
    said = " UNION ALL ".join(
        f"SELECT * FROM feedback WHERE target = '{target}' AND {name} {dialect.among_texts(f':{target}s')}"
        f" AND ({is_score} OR {IS_RATING}) AND {_OF_TENANT}"
        for target, name in _NAME_OF.items()
    )
    return f"""
SELECT {_COLUMNS} FROM (
    SELECT *, row_number() OVER (
        PARTITION BY tenant, target, trace_id, request_id, session, CASE WHEN {is_score} THEN metric END
        ORDER BY updated_at_us DESC, seq DESC
    ) AS place
    FROM ({said}) AS said
) AS verdicts
WHERE place = 1 ORDER BY updated_at_us, seq
"""


@cache
def _given(dialect: Dialect) -> str:
    return f"""
SELECT author, count(*) FROM feedback
WHERE author {dialect.among_texts(":authors")} AND deleted_at_us IS NULL AND {_OF_TENANT}
GROUP BY author
"""


@dataclass(frozen=True, slots=True)
class Put:
    """What is stored by one call: versions of entries, and the receipt for them."""

    entries: Sequence[Feedback]
    receipt: Receipt | None = None


def put_feedback(connection: Connection, entries: Sequence[Feedback], receipt: Receipt | None) -> None:
    """Store versions of entries and the receipt for them, and join those whose subject is already there.

    Raises:
        Conflict: before anything is written, if one does not follow what is stored.
    """
    [refusal] = put_all(connection, [Put(entries, receipt)])
    if refusal is not None:
        raise refusal


def put_all(connection: Connection, puts: Sequence[Put]) -> list[GatewayError | None]:
    """Do what `put_feedback` does for several calls, in order, with about as many statements as for one; return for
    each why it is refused, or None. Of what is refused nothing is written."""
    refusals = _refusals(connection, puts)
    taken = [put for put, refusal in zip(puts, refusals, strict=True) if refusal is None]
    stored = _store(connection, [entry for put in taken for entry in put.entries])
    receipts = [put.receipt for put in taken if put.receipt is not None]
    if receipts:
        connection.insert("receipts", RECEIPT_COLUMNS, map(_receipt_to_row, receipts))
    waiting = [entry.feedback_id for entry in stored if entry.joined_at_us is None]
    if waiting:
        join_given(connection, waiting)
    joined = [entry.feedback_id for entry in stored if entry.joined_at_us is not None]
    if joined:
        count(connection, joined)
    # An earlier version may have been one of a pair.
    pair_all_of(
        connection, [entry.feedback_id for entry in stored if entry.kind in PAIRED or entry.version > 1]
    )
    return refusals


def feedback_by_ids(connection: Connection, feedback_ids: Sequence[str]) -> list[Feedback]:
    """Return the latest versions of these entries in the order asked."""
    rows = (connection.execute(_LATEST, (storable(feedback_id),)).fetchone() for feedback_id in feedback_ids)
    return [feedback_from_row(row) for row in rows if row is not None]


def latest_verdicts(
    connection: Connection, records: Sequence[RequestRecord], tenant: str | None
) -> list[Feedback]:
    """Return the latest rating of each request, each of their traces and sessions, and the latest score by each
    metric; the oldest first."""
    names = {
        f"{target}s": list_to_json(list({getattr(record, name) for record in records} - {None}))
        for target, name in _NAME_OF.items()
    }
    values = {**names, "tenant": storable_or_none(tenant)}
    return [
        feedback_from_row(row) for row in connection.execute(_latest_verdicts(connection.dialect), values)
    ]


def count_given(connection: Connection, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
    """Return how many entries that were not withdrawn each of these authors gave."""
    values = {"authors": list_to_json(authors), "tenant": storable_or_none(tenant)}
    return dict(connection.execute(_given(connection.dialect), values).fetchall())


def history(connection: Connection, feedback_id: str) -> list[Feedback]:
    """Return every version of an entry, the first one first."""
    earlier = connection.execute(_EARLIER, (storable(feedback_id),)).fetchall()
    return [feedback_from_row(row) for row in earlier] + feedback_by_ids(connection, [feedback_id])


def has_other_grades(connection: Connection, key_name: str | None) -> bool:
    """Tell whether a key, or callers without one, gave a grade that is neither 0 nor 1."""
    if key_name is None:
        return connection.execute(_OTHER_GRADE.format("IS NULL")).fetchone() is not None
    return connection.execute(_OTHER_GRADE.format("= ?"), (storable(key_name),)).fetchone() is not None


def receipt_of(connection: Connection, scope: str, key: str) -> Receipt | None:
    """Return the receipt of an earlier call under this idempotency key."""
    row = connection.execute(_RECEIPT, (storable(scope), storable(key))).fetchone()
    return None if row is None else receipt_from_row(row)


def size_bytes(entries: Sequence[Feedback]) -> int:
    """Return about how many bytes these entries take in the queue and in the database."""
    return sum(1024 + 2 * len(entry.raw) for entry in entries)


def _refusals(connection: Connection, puts: Sequence[Put]) -> list[GatewayError | None]:
    """Look at each call as if those before it had been stored."""
    used = _used_keys(connection, [put.receipt for put in puts if put.receipt is not None])
    versions = _versions_of(connection, [entry.feedback_id for put in puts for entry in put.entries])
    refusals: list[GatewayError | None] = []
    for put in puts:
        key = None if put.receipt is None else _key_of(put.receipt)
        following = dict(versions)
        refusal = Conflict("this idempotency key was used before.") if key in used else None
        refusal = refusal or _gap(put.entries, following)
        if refusal is None:
            versions = following
            if key is not None:
                used.add(key)
        refusals.append(refusal)
    return refusals


def _gap(entries: Sequence[Feedback], versions: dict[str, int]) -> Conflict | None:
    """Add entries to the versions that are stored; tell which of them follows none of these."""
    for entry in entries:
        stored = versions.get(entry.feedback_id, 0)
        if entry.version != stored + 1:
            state = f"is at version {stored}" if stored else "does not exist"
            return Conflict(
                f"feedback {entry.feedback_id} {state}, so version {entry.version} cannot follow."
            )
        versions[entry.feedback_id] = entry.version
    return None


def _used_keys(connection: Connection, receipts: Sequence[Receipt]) -> set[tuple[str, str]]:
    if not receipts:
        return set()
    keys = list_to_json([receipt.key for receipt in receipts])
    return {(scope, key) for scope, key in connection.execute(_used(connection.dialect), (keys,))}


def _versions_of(connection: Connection, feedback_ids: Sequence[str]) -> dict[str, int]:
    if not feedback_ids:
        return {}
    ids = list_to_json(feedback_ids)
    return dict(connection.execute(_versions(connection.dialect), (ids,)).fetchall())


def _key_of(receipt: Receipt) -> tuple[str, str]:
    return storable(receipt.scope), storable(receipt.key)


def _receipt_to_row(receipt: Receipt) -> tuple[str, ...]:
    return (*_key_of(receipt), receipt.digest, list_to_json(receipt.feedback_ids))


def _store(connection: Connection, entries: Sequence[Feedback]) -> list[Feedback]:
    """Write versions that follow one another, and return them as they are stored now."""
    stored: list[Feedback] = []
    for is_new, group in groupby(entries, lambda entry: entry.version == 1):
        if is_new:
            new = list(group)
            connection.insert("feedback", FEEDBACK.columns, map(feedback_to_row, new))
            stored += new
        else:
            stored += [_supersede(connection, entry) for entry in group]
    return stored


def _supersede(connection: Connection, entry: Feedback) -> Feedback:
    before = feedback_from_row(connection.execute(_LATEST, (entry.feedback_id,)).fetchone())
    stored = _with_join_of(before, entry)
    connection.execute(_KEEP_VERSION, (entry.feedback_id,))
    connection.execute(_SUPERSEDE, (*feedback_to_row(stored), entry.feedback_id))
    return stored


def _with_join_of(stored: Feedback, entry: Feedback) -> Feedback:
    """Keep a join that was made after the caller had read the entry that it now revises."""
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
