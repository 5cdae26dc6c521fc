"""API keys made at run time, what they have used of their quotas, and who is signed in with them."""

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
_REVOKE = "UPDATE keys SET revoked_at_us = ? WHERE name = ? AND revoked_at_us IS NULL"


def add_key(connection: Connection, key: StoredKey) -> None:
    """Store a new key. Raises Conflict where a live key has its name."""
    if key.revoked_at_us is None and connection.execute(_NAME_TAKEN, (clean_text(key.name),)).fetchone()[0]:
        raise Conflict(f"there is a key named {key.name!r} already.", hint="Revoke it, or take another name.")
    connection.insert("keys", KEY_ROWS.columns, [KEY_ROWS.to_row(key)])


_ADD_QUOTA_USAGE = f"""
INSERT INTO spendings ({quote_columns(QUOTA_USAGE_ROWS.columns)}) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key_name, unit, "window") DO UPDATE SET
    amount = excluded.amount
        + CASE WHEN excluded.starts_at_us = spendings.starts_at_us THEN spendings.amount ELSE 0 END,
    starts_at_us = excluded.starts_at_us
WHERE excluded.starts_at_us >= spendings.starts_at_us
"""
_SIGN_IN = (
    "INSERT INTO sign_ins (token_sha256, key_sha256, expires_at_us) VALUES (?, ?, ?)"
    " ON CONFLICT (token_sha256) DO NOTHING"
)
_DROP_EXPIRED = "DELETE FROM sign_ins WHERE expires_at_us <= ?"
_SIGN_OUT = "DELETE FROM sign_ins WHERE token_sha256 = ?"
_SIGNED_IN_KEY = "SELECT key_sha256 FROM sign_ins WHERE token_sha256 = ? AND expires_at_us > ?"
_ALL_QUOTA_USAGE = f"SELECT {quote_columns(QUOTA_USAGE_ROWS.columns)} FROM spendings"


def add_quota_usage(connection: Connection, usage: Sequence[QuotaUsage]) -> None:
    """Add usage to its windows; a later window replaces the stored one."""
    connection.executemany(_ADD_QUOTA_USAGE, list(map(QUOTA_USAGE_ROWS.to_row, usage)))


class SqlKeys(Database):
    """Keys and quotas."""

    async def keys(self) -> list[StoredKey]:
        return [KEY_ROWS.from_row(row) for row in await self._primary.fetch_all(_ALL_KEYS)]

    async def add_key(self, key: StoredKey) -> None:
        await self._write_exclusively(add_key, key)

    async def revoke_key(self, name: str, at_us: int) -> bool:
        row = (at_us, clean_text(name))
        return await self._write_exclusively(lambda connection: connection.execute(_REVOKE, row).rowcount > 0)

    async def spend(self, spendings: Sequence[QuotaUsage]) -> None:
        await self._writer.write(lambda connection: add_quota_usage(connection, spendings))

    async def spendings(self) -> list[QuotaUsage]:
        return [QUOTA_USAGE_ROWS.from_row(row) for row in await self._primary.fetch_all(_ALL_QUOTA_USAGE)]

    async def sign_in(self, token_sha256: str, key_sha256: str, now_us: int, expires_at_us: int) -> None:
        def work(connection: Connection) -> None:
            connection.execute(_DROP_EXPIRED, (now_us,))
            connection.execute(_SIGN_IN, (token_sha256, key_sha256, expires_at_us))

        await self._writer.write(work)

    async def sign_out(self, token_sha256: str) -> None:
        await self._writer.write(lambda connection: connection.execute(_SIGN_OUT, (token_sha256,)))

    async def signed_in_key(self, token_sha256: str, now_us: int) -> str | None:
        rows = await self._primary.fetch_all(_SIGNED_IN_KEY, (token_sha256, now_us))
        return rows[0][0] if rows else None
