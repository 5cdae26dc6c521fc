"""Gateway keys, and what they have used."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.limit import Spending
from gateway.store.administration import StoredKey
from gateway.store.relational import key_table, spending_table
from gateway.store.relational.parts.open_database import OpenDatabase


class Keys(OpenDatabase):
    """Keeps what `KeyStore` and `SpendingStore` promise."""

    async def keys(self) -> list[StoredKey]:
        return await self._lookups.read(key_table.all_keys)

    async def add_key(self, key: StoredKey) -> None:
        await self._writer.write(
            lambda connection: key_table.add_key(connection, key), is_synced=True, is_alone=True
        )

    async def revoke_key(self, name: str, at_us: int) -> bool:
        return await self._writer.write(
            lambda connection: key_table.revoke_key(connection, name, at_us), is_synced=True, is_alone=True
        )

    async def spend(self, spendings: Sequence[Spending]) -> None:
        await self._writer.write(lambda connection: spending_table.spend(connection, spendings))

    async def spendings(self) -> list[Spending]:
        return await self._lookups.read(spending_table.all_spendings)
