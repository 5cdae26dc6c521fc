"""Links between records: ids to requests, feedback to requests, edits to originals, answers to sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import orjson

from gateway.models.feedback import MAX_CANDIDATES, RESPONSE_ID_REUSE_US, Kind, Subject, Target
from gateway.models.request import Facts
from gateway.store.dialect import Connection, Dialect
from gateway.store.rollups import FEEDBACK_KINDS, ROLLUP_KINDS, invalidate_rollups
from gateway.store.rows import clean_text, clean_text_or_none, from_json, list_to_json, to_json


def _counted_request_of(column: str) -> str:
    of_group = (
        f"SELECT r.seq FROM requests AS r WHERE r.{column} = feedback.{column}"
        " AND r.tenant IS NOT DISTINCT FROM feedback.tenant"
    )
    return f"""coalesce(
        (
            {of_group} AND r.started_at_us <= feedback.created_at_us
            ORDER BY r.started_at_us DESC, r.seq DESC LIMIT 1
        ),
        ({of_group} ORDER BY r.started_at_us, r.seq LIMIT 1)
    )"""


_IS_BETTER_MATCH = """
feedback.request_seq IS NULL OR CASE WHEN feedback.request_started_at_us <= feedback.created_at_us
    THEN r.started_at_us <= feedback.created_at_us
        AND (r.started_at_us, r.seq) > (feedback.request_started_at_us, feedback.request_seq)
    ELSE r.started_at_us <= feedback.created_at_us
        OR (r.started_at_us, r.seq) < (feedback.request_started_at_us, feedback.request_seq)
END
"""


def _misassigned_entries(dialect: Dialect) -> str:
    ways = {
        Target.TRACE: ("feedback.trace_id = r.trace_id", _IS_BETTER_MATCH),
        Target.SESSION: ("feedback.session = r.session", _IS_BETTER_MATCH),
        # Traces may be long where a request id is not.
        Target.REQUEST: (
            f"feedback.request_id = r.request_id AND {dialect.without_index('feedback.trace_id')} = r.trace_id",
            "feedback.request_seq IS NULL OR feedback.request_seq < r.seq",
        ),
    }
    return " UNION ".join(
        f"SELECT feedback_id FROM requests AS r {dialect.ordered_join} feedback ON {is_about}"
        f" WHERE r.seq {dialect.in_numbers(':seqs')} AND feedback.target = '{target}'"
        " AND feedback.tenant IS NOT DISTINCT FROM r.tenant AND feedback.joined_at_us IS NOT NULL"
        f" AND ({takes})"
        for target, (is_about, takes) in ways.items()
    )


@dataclass(frozen=True, slots=True)
class _CountingStatements:
    count: str
    date: str
    misassigned: str
    counted_times: str
    forget: str


@cache
def _counting_statements(dialect: Dialect) -> _CountingStatements:
    given = f"feedback_id {dialect.in_texts('?')}"
    return _CountingStatements(
        # Traces may be long where a request id is not.
        count=f"""
UPDATE feedback SET request_seq = CASE target
    WHEN 'request' THEN (
        SELECT r.seq FROM requests AS r
        WHERE r.request_id = feedback.request_id AND {dialect.without_index("r.trace_id")} = feedback.trace_id
            AND r.tenant IS NOT DISTINCT FROM feedback.tenant
        ORDER BY r.seq DESC LIMIT 1
    )
    WHEN 'session' THEN {_counted_request_of("session")}
    ELSE {_counted_request_of("trace_id")}
END
WHERE {given} AND joined_at_us IS NOT NULL AND request_seq IS NULL
""",
        date=f"""
UPDATE feedback SET request_started_at_us = coalesce(
    request_started_at_us, (SELECT started_at_us FROM requests WHERE seq = feedback.request_seq)
)
WHERE {given} AND request_seq IS NOT NULL RETURNING request_started_at_us
""",
        misassigned=_misassigned_entries(dialect),
        counted_times=(
            f"SELECT request_started_at_us FROM feedback WHERE {given} AND request_started_at_us IS NOT NULL"
        ),
        forget=f"UPDATE feedback SET request_seq = NULL, request_started_at_us = NULL WHERE {given}",
    )


def assign_requests(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Assign joined entries to the requests that they count for, and invalidate rollups."""
    statements = _counting_statements(connection.dialect)
    ids = list_to_json(feedback_ids)
    connection.execute(statements.count, (ids,))
    times_us = {row[0] for row in connection.execute(statements.date, (ids,))}
    invalidate_rollups(connection, FEEDBACK_KINDS, times_us - {None})


def reassign_requests(connection: Connection, seqs: Sequence[int], also: Sequence[str] = ()) -> None:
    """Assign again the entries that count for these rows, or should, and those in `also`."""
    if not connection.execute(_IS_ANY_FEEDBACK).fetchone()[0]:
        return
    statements = _counting_statements(connection.dialect)
    found = connection.execute(statements.misassigned, {"seqs": orjson.dumps(list(seqs)).decode()})
    feedback_ids = [*also, *(row[0] for row in found)]
    if feedback_ids:
        ids = (list_to_json(feedback_ids),)
        times_us = [row[0] for row in connection.execute(statements.counted_times, ids)]
        invalidate_rollups(connection, FEEDBACK_KINDS, times_us)
        connection.execute(statements.forget, ids)
        assign_requests(connection, feedback_ids)


PAIRED_KINDS = frozenset({Kind.EDIT, Kind.ORIGINAL})

# One on the trace as a whole goes with those on any of its requests.
_SAME_SUBJECT = """
    coalesce(original.trace_id, original.subject_id) = coalesce(edit.trace_id, edit.subject_id)
    AND original.tenant IS NOT DISTINCT FROM edit.tenant
    AND (original.request_id IS NULL OR edit.request_id IS NULL OR original.request_id = edit.request_id)
"""
_IS_ORIGINAL = "original.kind = 'original' AND original.deleted_at_us IS NULL"
_MAY_TAKE = "edit.kind = 'edit' AND (edit.original_id IS NOT NULL OR edit.original_text IS NULL)"
_COMES_AFTER = "(original.created_at_us, original.seq) > (edit.created_at_us, edit.seq)"


@dataclass(frozen=True, slots=True)
class _PairStatements:
    affected: str
    pair: str


@cache
def _pair_statements(dialect: Dialect) -> _PairStatements:
    given = dialect.in_texts(":ids")
    return _PairStatements(
        # An edit whose original was given between the two keeps it, so a trace of many edits costs little.
        affected=f"""
SELECT feedback_id FROM feedback AS edit WHERE feedback_id {given} AND {_MAY_TAKE}
UNION
SELECT feedback_id FROM feedback WHERE original_id {given}
UNION
SELECT edit.feedback_id FROM feedback AS original
JOIN feedback AS edit ON {_SAME_SUBJECT} AND {_MAY_TAKE}
LEFT JOIN feedback AS taken ON taken.feedback_id = edit.original_id
WHERE original.feedback_id {given} AND {_IS_ORIGINAL} AND (
    taken.seq IS NULL OR NOT {_COMES_AFTER}
    OR (taken.created_at_us, taken.seq) > (original.created_at_us, original.seq)
)
""",
        # SQLite knows no column of the outer statement in ORDER BY itself.
        pair=f"""
UPDATE feedback AS edit SET (original_id, original_text) = (
    SELECT feedback_id, original_text FROM (
        SELECT original.feedback_id, original.original_text, original.created_at_us, original.seq,
            CASE WHEN {_COMES_AFTER} THEN 1 ELSE -1 END AS side
        FROM feedback AS original WHERE {_SAME_SUBJECT} AND {_IS_ORIGINAL}
    ) AS originals
    ORDER BY side, side * created_at_us, side * seq LIMIT 1
)
WHERE feedback_id {given} AND {_MAY_TAKE}
""",
    )


def find_affected_edits(connection: Connection, feedback_ids: Sequence[str]) -> list[str]:
    """Return the edits whose original may have changed with these entries."""
    ids = {"ids": list_to_json(feedback_ids)}
    return [row[0] for row in connection.execute(_pair_statements(connection.dialect).affected, ids)]


def pair_edits(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Give edits the texts of their originals."""
    if feedback_ids:
        connection.execute(_pair_statements(connection.dialect).pair, {"ids": list_to_json(feedback_ids)})


def update_pairs(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Update the pairs that these entries are, were or should be in."""
    if feedback_ids:
        pair_edits(connection, find_affected_edits(connection, feedback_ids))


_IS_VISIBLE = (
    "(CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)"
    " AND (CAST(:trace_id AS TEXT) IS NULL OR trace_id = :trace_id)"
)
_FIND_TRACES = f"""
SELECT tenant, trace_id, NULL, NULL, max(seq) FROM requests
WHERE trace_id = :name AND {_IS_VISIBLE}
GROUP BY trace_id, tenant ORDER BY max(seq) DESC LIMIT {MAX_CANDIDATES}
"""
_FIND_SESSIONS = f"""
SELECT tenant, NULL, NULL, NULL, max(seq), session FROM requests
WHERE session = :name AND {_IS_VISIBLE}
GROUP BY session, tenant ORDER BY max(seq) DESC LIMIT {MAX_CANDIDATES}
"""


def _requests_by(condition: str, within_us: int | None = None) -> str:
    # Providers use response ids again: only requests close to the latest one are meant.
    is_late = "TRUE"
    if within_us is not None:
        is_late = f"started_at_us > (SELECT max(started_at_us) FROM answered) - {within_us}"
    # What failed under a name and was answered under it later is a try of the same thing.
    return f"""
WITH latest AS (
    SELECT
        tenant, trace_id, request_id, response_id, seq, started_at_us,
        CASE WHEN outcome = 'complete' AND status < 400 THEN 1 ELSE 0 END AS is_answered
    FROM requests
    WHERE seq IN (
        SELECT max(seq) FROM requests
        WHERE {condition} AND {_IS_VISIBLE}
        GROUP BY tenant, trace_id, request_id
    )
), answered AS (
    SELECT * FROM latest WHERE is_answered = (SELECT max(is_answered) FROM latest)
)
SELECT tenant, trace_id, request_id, response_id, seq FROM answered
WHERE {is_late}
ORDER BY seq DESC LIMIT {MAX_CANDIDATES}
"""


_FIND_BY_REQUEST_ID = _requests_by("request_id = :name")
_FIND_BY_RESPONSE_ID = _requests_by("response_id = :name", RESPONSE_ID_REUSE_US)
_FIND_BY_OTHER_RESPONSE_ID = _requests_by(
    "seq IN (SELECT seq FROM other_response_ids WHERE response_id = :name)", RESPONSE_ID_REUSE_US
)
_BY_ANY_REQUEST_ID = (_FIND_BY_REQUEST_ID, _FIND_BY_RESPONSE_ID, _FIND_BY_OTHER_RESPONSE_ID)

# What finds each kind of subject, the most preferred kind first.
SUBJECT_LOOKUPS = {
    Target.TRACE: (_FIND_TRACES, *_BY_ANY_REQUEST_ID, _FIND_SESSIONS),
    Target.REQUEST: _BY_ANY_REQUEST_ID,
    Target.SESSION: (_FIND_SESSIONS,),
}

_IS_ANY_FEEDBACK = "SELECT EXISTS (SELECT 1 FROM feedback)"
_IS_ANY_WAITING = "SELECT EXISTS (SELECT 1 FROM feedback WHERE joined_at_us IS NULL)"


class _WaitingStatements(NamedTuple):
    subjects: str
    join: str


@cache
def _waiting_by_name(dialect: Dialect) -> _WaitingStatements:
    named = f"joined_at_us IS NULL AND subject_id {dialect.in_texts(':names')}"
    return _WaitingStatements(
        f"SELECT DISTINCT subject_id, tenant, target FROM feedback WHERE {named}",
        f"{_join_statement(dialect)} joined_at_us IS NULL AND subject_id = :subject_id RETURNING feedback_id, kind",
    )


@cache
def _waiting_by_id(dialect: Dialect) -> _WaitingStatements:
    given = f"joined_at_us IS NULL AND feedback_id {dialect.in_texts(':ids')}"
    # Any number of entries may wait for a subject.
    subject = dialect.without_index("subject_id")
    return _WaitingStatements(
        f"SELECT DISTINCT subject_id, tenant, target FROM feedback WHERE {given}",
        f"{_join_statement(dialect)} {given} AND {subject} = :subject_id RETURNING feedback_id, kind",
    )


def _join_statement(dialect: Dialect) -> str:
    return f"""
UPDATE feedback SET
    tenant = :tenant, trace_id = :trace_id, request_id = :request_id, session = :session, target = :target,
    joined_at_us = {dialect.greatest}(:appeared_at_us, updated_at_us)
WHERE tenant IS NOT DISTINCT FROM :awaited_tenant AND target = :awaited_target AND
"""


def find_subjects(connection: Connection, name: str, tenant: str | None, target: Target) -> list[Subject]:
    """Return what an id names, only the most preferred kind, newest first."""
    values = subject_values(name, tenant)
    for lookup in SUBJECT_LOOKUPS[target]:
        if rows := connection.execute(lookup, values).fetchall():
            return [Subject(*row) for row in rows]
    return []


def subject_values(name: str, tenant: str | None, trace_id: str | None = None) -> dict[str, str | None]:
    """Return the values to bind to `SUBJECT_LOOKUPS`."""
    return {
        "name": clean_text(name),
        "tenant": clean_text_or_none(tenant),
        "trace_id": clean_text_or_none(trace_id),
    }


def has_waiting_feedback(connection: Connection) -> bool:
    found: bool = connection.execute(_IS_ANY_WAITING).fetchone()[0]
    return found


def join_waiting_feedback(connection: Connection, names: Mapping[str, int]) -> None:
    """Join the feedback that waits for ids, given when each appeared, in microseconds since the epoch."""
    if not names or not has_waiting_feedback(connection):
        return
    appeared = {clean_text(name): at_us for name, at_us in names.items()}
    names_json = {"names": list_to_json(list(appeared))}
    _join_feedback(connection, _waiting_by_name(connection.dialect), names_json, appeared)


def join_new_feedback(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Join those of these entries whose subject is already stored."""
    # Other entries that wait for the same subject are not looked at: it was not stored just now.
    _join_feedback(connection, _waiting_by_id(connection.dialect), {"ids": list_to_json(feedback_ids)}, {})


def _join_feedback(
    connection: Connection,
    waiting: _WaitingStatements,
    values: Mapping[str, str],
    appeared: Mapping[str, int],
) -> None:
    joined: list[tuple[str, str]] = []
    # However many entries wait for a subject, it is looked up once.
    for subject_id, tenant, target in connection.execute(waiting.subjects, values).fetchall():
        if subjects := find_subjects(connection, subject_id, tenant, Target(target)):
            subject = subjects[0]
            found = {
                "tenant": subject.tenant,
                "trace_id": subject.trace_id,
                "request_id": subject.request_id,
                "session": subject.session,
                "target": subject.target,
                "appeared_at_us": appeared.get(subject_id, 0),
                "subject_id": subject_id,
                "awaited_tenant": tenant,
                "awaited_target": target,
            }
            joined += connection.execute(waiting.join, {**values, **found})
    if joined:
        assign_requests(connection, [feedback_id for feedback_id, _ in joined])
        update_pairs(connection, [feedback_id for feedback_id, kind in joined if kind in PAIRED_KINDS])


_SELECT_ROW = "SELECT seq, session, tenant, metadata, started_at_us, ended_at_us FROM requests"
_INTERPRETED_ROW = f"{_SELECT_ROW} WHERE seq = ? AND interpreted_at_us = ?"
_EARLIER_ANSWER = f"""{_SELECT_ROW}
WHERE response_id = ? AND tenant IS NOT DISTINCT FROM ? AND seq <> ? ORDER BY seq DESC LIMIT 1
"""
_IN_SESSION = f"{_SELECT_ROW} WHERE session = ? AND tenant IS NOT DISTINCT FROM ?"
_SET_SESSION = "UPDATE requests SET session = ?, metadata = ? WHERE seq = ?"

_ConversationRow = tuple[int, str | None, str | None, str, int, int]


# Kinds of answers that no request ever names as the one before it, which most are.
NEVER_CONTINUED = frozenset({"chat.completions", "completions", "messages", "embeddings"})


def link_conversations(
    connection: Connection, facts: Sequence[tuple[int, Facts]], at_us: int
) -> dict[int, str]:
    """Set the sessions of rows that continue answers, or are continued, by response ids; return them by `seq`."""
    named: dict[int, str] = {}
    chained = {seq: found.previous_response_id for seq, found in facts}
    for seq, previous in sorted(chained.items()):
        own_row = None if previous is None else _read_interpreted_row(connection, seq, at_us)
        if previous is not None and own_row is not None and own_row[1] is None:
            named[seq] = _join_conversation(connection, own_row, clean_text(previous))
    for seq, response_id, tenant in _find_continued(connection, facts):
        if (own_row := _read_interpreted_row(connection, seq, at_us)) is None or own_row[2] != tenant:
            continue
        # Others were interpreted before the answer that they continue.
        if own_row[1] is None:
            named[seq] = response_id
            _set_session(connection, [own_row], response_id)
        elif own_row[1] != response_id:
            rows = connection.execute(_IN_SESSION, (response_id, own_row[2])).fetchall()
            _set_session(connection, rows, own_row[1])
    return named


def _join_conversation(connection: Connection, own_row: _ConversationRow, previous: str) -> str:
    earlier = connection.execute(_EARLIER_ANSWER, (previous, own_row[2], own_row[0])).fetchone()
    session = previous if earlier is None or earlier[1] is None else earlier[1]
    rows = [own_row] if earlier is None or earlier[1] is not None else [earlier, own_row]
    _set_session(connection, rows, session)
    return session


def _find_continued(
    connection: Connection, facts: Sequence[tuple[int, Facts]]
) -> list[tuple[int, str, str | None]]:
    seqs = {clean_text(found.response_id): seq for seq, found in facts if found.response_id is not None}
    if not seqs:
        return []
    named = f"SELECT DISTINCT session, tenant FROM requests WHERE session {connection.dialect.in_texts('?')}"
    found = connection.execute(named, (list_to_json(list(seqs)),)).fetchall()
    return [(seqs[session], session, tenant) for session, tenant in found]


def _read_interpreted_row(connection: Connection, seq: int, at_us: int) -> _ConversationRow | None:
    # A row that was interpreted before may have been erased since.
    found: _ConversationRow | None = connection.execute(_INTERPRETED_ROW, (seq, at_us)).fetchone()
    return found


def _set_session(connection: Connection, rows: Sequence[_ConversationRow], session: str) -> None:
    connection.executemany(
        _SET_SESSION, [(session, to_json({**from_json(row[3]), "_session": session}), row[0]) for row in rows]
    )
    invalidate_rollups(connection, ROLLUP_KINDS, [row[4] for row in rows])
    join_waiting_feedback(connection, {session: max(row[5] for row in rows)})
    reassign_requests(connection, [row[0] for row in rows])
