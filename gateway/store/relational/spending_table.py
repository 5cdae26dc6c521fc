"""Writing and reading what keys have used of what they may."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.limit import Spending
from gateway.store.relational.connection import Connection
from gateway.store.rows import spending_from_row
from gateway.store.tables import SPENDING_COLUMNS, quoted
from gateway.store.text import storable

_SPEND = f"""
INSERT INTO spendings ({quoted(SPENDING_COLUMNS)}) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key_name, unit, "window") DO UPDATE SET
    amount = excluded.amount
        + CASE WHEN excluded.starts_at_us = spendings.starts_at_us THEN spendings.amount ELSE 0 END,
    starts_at_us = excluded.starts_at_us
WHERE excluded.starts_at_us >= spendings.starts_at_us
"""
_ALL = f"SELECT {quoted(SPENDING_COLUMNS)} FROM spendings"


def spend(connection: Connection, spendings: Sequence[Spending]) -> None:
    """Add to what was used in these windows, and forget windows that are over for those that came after."""
    connection.executemany(
        _SPEND,
        [(storable(one.key_name), one.unit, one.window, one.starts_at_us, one.amount) for one in spendings],
    )


def all_spendings(connection: Connection) -> list[Spending]:
    """Return what is kept."""
    return [spending_from_row(row) for row in connection.execute(_ALL)]
