"""Gateway keys."""

from __future__ import annotations

from gateway.store.base import StoredKey
from gateway.store.relational import key_table
from gateway.store.relational.parts.open_database import OpenDatabase


class Keys(OpenDatabase):
    """Keeps what `KeyStore` promises."""

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
