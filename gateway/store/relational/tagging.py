"""Changing the metadata of rows that are in the log already."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import orjson

from gateway.domain.exchange import in_small_letters
from gateway.domain.feedback import Target
from gateway.domain.subject import only_subject
from gateway.errors import BadInput
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.counting import count_for
from gateway.store.relational.joining import find_subjects, join_waiting
from gateway.store.relational.rollup_table import KINDS, break_seals
from gateway.store.rows import session_of, tags_of
from gateway.store.tables import TAG_COLUMNS
from gateway.store.text import from_json, storable, to_json

MAX_METADATA_BYTES = 256 * 1024
"""How long the metadata of a row may become in this way, as JSON."""

_KNOWN_KEYS = frozenset(f"_{column}" for column in (*TAG_COLUMNS, "model"))

_CHANGE = (
    "UPDATE requests SET metadata = ?, "
    + ", ".join(f'"{column}" = ?' for column in TAG_COLUMNS)
    + " WHERE seq = ?"
)


@cache
def _rows(dialect: Dialect) -> str:
    # Traces may be long where a request id is not.
    return (
        "SELECT seq, metadata, started_at_us FROM requests"
        f" WHERE request_id = ? AND {dialect.unindexed('trace_id')} = ? AND tenant IS NOT DISTINCT FROM ?"
    )


@cache
def _of_their_sessions(dialect: Dialect) -> str:
    return (
        f"SELECT feedback_id FROM feedback WHERE request_seq {dialect.among_numbers('?')}"
        f" AND target = '{Target.SESSION}'"
    )


def set_property(connection: Connection, any_id: str, key: str, value: str, tenant: str | None) -> int:
    """Set one key of the metadata of the request that an id names, whatever the case it is spelt in, and the column
    it has; join what waited for a session that the request is put in; return how many rows the request has.

    Raises:
        Ambiguous: before anything is written, if the id names several.
        BadInput: before anything is written, if the metadata of a row would be too long.
    """
    subjects = find_subjects(connection, any_id, tenant, Target.REQUEST)
    named = only_subject(any_id, subjects, field="request_id")
    if named is None:
        return 0
    found = connection.execute(_rows(connection.dialect), (named.request_id, named.trace_id, named.tenant))
    rows = found.fetchall()
    changes, times_us, sessions = [], [], {}
    for seq, text, started_at_us in rows:
        metadata = _with_property(from_json(text), storable(key), value)
        changed = to_json(metadata)
        if len(changed.encode()) > MAX_METADATA_BYTES:
            raise BadInput(
                f"the request's properties would be longer than {MAX_METADATA_BYTES:,} bytes.", field="value"
            )
        changes.append((changed, *tags_of(metadata), seq))
        times_us.append(started_at_us)
        if session := session_of(metadata):
            sessions[session] = started_at_us
    seqs = [row[0] for row in rows]
    connection.executemany(_CHANGE, changes)
    break_seals(connection, KINDS, times_us)
    join_waiting(connection, sessions)
    if in_small_letters(storable(key)) == "_session":
        found = connection.execute(_of_their_sessions(connection.dialect), (orjson.dumps(seqs).decode(),))
        count_for(connection, seqs, [row[0] for row in found])
    return len(changes)


def _with_property(metadata: Mapping[str, object], key: str, value: str) -> dict[str, object]:
    """Metadata with this property instead of those whose names differ from its name by case alone. A name that
    has a meaning here is spelt as it is here."""
    small = in_small_letters(key)
    others = {name: item for name, item in metadata.items() if in_small_letters(name) != small}
    return {**others, small if small in _KNOWN_KEYS else key: value}
