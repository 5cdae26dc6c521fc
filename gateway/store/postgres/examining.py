"""Looking at a database without changing anything in it: is it one of ours, and what is in it."""

from __future__ import annotations

from contextlib import closing

from gateway.domain.database_url import name_of
from gateway.store.condition import Examined, FeedbackCondition
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.failures import translated_errors
from gateway.store.postgres.schema import refuse_foreign
from gateway.store.relational.condition import examine_feedback
from gateway.store.text import list_from_json

_NEWEST = "SELECT max(started_at_us) FROM requests"
_SIZE = "SELECT pg_database_size(current_database())"
_LIVE_KEYS = "SELECT roles FROM keys WHERE revoked_at_us IS NULL"


def examine_server(url: str) -> Examined:
    """Return what can be seen of a database that may be in use.

    Raises:
        StoreUnavailable: it cannot be read, belongs to another program, or is of a newer version.
    """
    name = name_of(url)
    with translated_errors(name), closing(PostgresConnection(url)) as connection:
        lacking = refuse_foreign(connection, name)
        return Examined(
            lacking=len(lacking),
            newest_at_us=connection.execute(_NEWEST).fetchone()[0],
            key_roles=tuple(frozenset(list_from_json(row[0])) for row in connection.execute(_LIVE_KEYS)),
            feedback=FeedbackCondition() if lacking else examine_feedback(connection),
        )


def measure_server(url: str) -> int:
    """Return how many bytes a database takes on the server's disk. Raises StoreUnavailable."""
    with translated_errors(name_of(url)), closing(PostgresConnection(url)) as connection:
        size: int = connection.execute(_SIZE).fetchone()[0]
    return size
