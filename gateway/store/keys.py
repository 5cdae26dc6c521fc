"""API keys made at run time, and what they have used of their quotas."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Conflict
from gateway.models.quota import QuotaUsage
from gateway.store.base import StoredKey
from gateway.store.database import Database
from gateway.store.dialect import Connection
from gateway.store.rows import KEY_ROWS, QUOTA_USAGE_ROWS, clean_text
from gateway.store.schema import quote_columns

_ALL_KEYS = f"SELECT {quote_columns(KEY_ROWS.columns)} FROM keys ORDER BY seq"
_NAME_TAKEN = "SELECT EXISTS (SELECT 1 FROM keys WHERE name = ? AND revoked_at_us IS NULL)"
_INSERT_KEY = (
    f"INSERT INTO keys ({quote_columns(KEY_ROWS.columns)}) VALUES ({', '.join('?' * len(KEY_ROWS.columns))})"
)
_REVOKE_KEY = "UPDATE keys SET revoked_at_us = ? WHERE name = ? AND revoked_at_us IS NULL"


def add_key(connection: Connection, key: StoredKey) -> None:
    """Store a new key. Raises Conflict where a live key has its name."""
    if key.revoked_at_us is None and connection.execute(_NAME_TAKEN, (clean_text(key.name),)).fetchone()[0]:
        raise Conflict(f"there is a key named {key.name!r} already.", hint="Revoke it, or take another name.")
    connection.execute(_INSERT_KEY, KEY_ROWS.to_row(key))


def revoke_key(connection: Connection, name: str, at_us: int) -> bool:
    """Mark the live key of this name revoked; tell whether there was one."""
    return connection.execute(_REVOKE_KEY, (at_us, clean_text(name))).rowcount > 0


_ADD_QUOTA_USAGE = f"""
INSERT INTO spendings ({quote_columns(QUOTA_USAGE_ROWS.columns)}) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key_name, unit, "window") DO UPDATE SET
    amount = excluded.amount
        + CASE WHEN excluded.starts_at_us = spendings.starts_at_us THEN spendings.amount ELSE 0 END,
    starts_at_us = excluded.starts_at_us
WHERE excluded.starts_at_us >= spendings.starts_at_us
"""
_ALL_QUOTA_USAGE = f"SELECT {quote_columns(QUOTA_USAGE_ROWS.columns)} FROM spendings"


def add_quota_usage(connection: Connection, spendings: Sequence[QuotaUsage]) -> None:
    """Add usage to its windows, and replace windows that are over."""
    connection.executemany(
        _ADD_QUOTA_USAGE,
        [
            (clean_text(usage.key_name), usage.unit, usage.window, usage.starts_at_us, usage.amount)
            for usage in spendings
        ],
    )


class SqlKeys(Database):
    """Keys and quotas."""

    async def keys(self) -> list[StoredKey]:
        return [KEY_ROWS.from_row(row) for row in await self._primary.fetch_all(_ALL_KEYS)]

    async def add_key(self, key: StoredKey) -> None:
        await self._write_exclusively(add_key, key)

    async def revoke_key(self, name: str, at_us: int) -> bool:
        return await self._write_exclusively(revoke_key, name, at_us)

    async def spend(self, spendings: Sequence[QuotaUsage]) -> None:
        await self._writer.write(lambda connection: add_quota_usage(connection, spendings))

    async def spendings(self) -> list[QuotaUsage]:
        return [QUOTA_USAGE_ROWS.from_row(row) for row in await self._primary.fetch_all(_ALL_QUOTA_USAGE)]
