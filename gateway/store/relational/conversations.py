"""Answers that continue earlier ones, by the earlier one's id: all of them are one conversation.

Its session is that of the earlier request. Where that has none, the id of the earlier answer becomes the session of
both, so that of a chain whose requests name no session it is the first answer's id.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.request import Facts
from gateway.store.relational.connection import Connection
from gateway.store.relational.counting import count_for
from gateway.store.relational.joining import join_waiting
from gateway.store.relational.rollup_table import KINDS, break_seals
from gateway.store.text import from_json, list_to_json, storable, to_json

_ROW = "SELECT seq, session, tenant, metadata, started_at_us, ended_at_us FROM requests"
_OWN = f"{_ROW} WHERE seq = ? AND interpreted_at_us = ?"
_EARLIER = f"""{_ROW}
WHERE response_id = ? AND tenant IS NOT DISTINCT FROM ? AND seq <> ? ORDER BY seq DESC LIMIT 1
"""
_IN_SESSION = f"{_ROW} WHERE session = ? AND tenant IS NOT DISTINCT FROM ?"
_PUT = "UPDATE requests SET session = ?, metadata = ? WHERE seq = ?"

_Row = tuple[int, str | None, str | None, str, int, int]


def link(connection: Connection, facts: Sequence[tuple[int, Facts]], at_us: int) -> dict[int, str]:
    """Put rows that were just filled in, and those that they continue or are continued by, into their
    conversations, in the caller's transaction.

    Args:
        at_us: when they were interpreted.

    Returns:
        The sessions that these rows were put in.
    """
    named: dict[int, str] = {}
    chained = {seq: found.previous_response_id for seq, found in facts}
    for seq, previous in sorted(chained.items()):
        if previous is None or (own := _own(connection, seq, at_us)) is None or own[1] is not None:
            continue
        named[seq] = _continue(connection, own, storable(previous))
    for seq, response_id, tenant in _continued(connection, facts):
        if (own := _own(connection, seq, at_us)) is None or own[2] != tenant:
            continue
        # Others were interpreted before the answer that they continue.
        if own[1] is None:
            named[seq] = response_id
            _put(connection, [own], response_id)
        elif own[1] != response_id:
            _put(connection, connection.execute(_IN_SESSION, (response_id, own[2])).fetchall(), own[1])
    return named


def _continue(connection: Connection, own: _Row, previous: str) -> str:
    earlier = connection.execute(_EARLIER, (previous, own[2], own[0])).fetchone()
    session = previous if earlier is None or earlier[1] is None else earlier[1]
    _put(connection, [own] if earlier is None or earlier[1] is not None else [earlier, own], session)
    return session


def _continued(
    connection: Connection, facts: Sequence[tuple[int, Facts]]
) -> list[tuple[int, str, str | None]]:
    """Which of these answers have ids that are sessions, and whose sessions."""
    seqs = {storable(found.response_id): seq for seq, found in facts if found.response_id is not None}
    if not seqs:
        return []
    named = (
        f"SELECT DISTINCT session, tenant FROM requests WHERE session {connection.dialect.among_texts('?')}"
    )
    found = connection.execute(named, (list_to_json(list(seqs)),)).fetchall()
    return [(seqs[session], session, tenant) for session, tenant in found]


def _own(connection: Connection, seq: int, at_us: int) -> _Row | None:
    # A row that was interpreted before may have been erased since.
    found: _Row | None = connection.execute(_OWN, (seq, at_us)).fetchone()
    return found


def _put(connection: Connection, rows: Sequence[_Row], session: str) -> None:
    connection.executemany(
        _PUT, [(session, to_json({**from_json(row[3]), "_session": session}), row[0]) for row in rows]
    )
    break_seals(connection, KINDS, [row[4] for row in rows])
    join_waiting(connection, {session: max(row[5] for row in rows)})
    count_for(connection, [row[0] for row in rows])
