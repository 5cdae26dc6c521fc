"""Being rid of what PostgreSQL keeps of rows that are gone: their older versions, which wait for a vacuum."""

from __future__ import annotations

from contextlib import closing

from gateway.domain.database_url import name_of
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.failures import translated_errors

_TABLES = (
    "requests", "payloads", "feedback", "feedback_versions", "receipts", "usage_rollups", "latency_rollups",
    "verdict_rollups",
)  # fmt: skip
"""What holds words of people."""


def sweep_out(url: str) -> None:
    """Let no table have older versions of its rows, as far as nobody reads them. Blocks.

    Raises:
        StoreUnavailable: the server cannot be reached, or lacks the room.
    """
    _vacuum(url, "VACUUM")


def rewrite(url: str) -> None:
    """Write the tables anew with nothing in them but rows. Blocks, and keeps others from a table meanwhile; takes
    as much room again on the server's disk.

    Raises:
        StoreUnavailable: the server cannot be reached, or lacks the room.
    """
    _vacuum(url, "VACUUM FULL")


def _vacuum(url: str, command: str) -> None:
    with translated_errors(name_of(url)), closing(PostgresConnection(url)) as connection:
        for table in _TABLES:
            connection.execute(f"{command} {table}")
