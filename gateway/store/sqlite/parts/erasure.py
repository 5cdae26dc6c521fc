"""Taking out what there is of a person, and what is too old."""

from __future__ import annotations

import asyncio

from gateway.domain.erasure import Belongings, Expired
from gateway.store.sqlite import erasing, expiring, remains
from gateway.store.sqlite.parts.open_file import OpenFile


class Erasure(OpenFile):
    """Keeps what `Erasure` and `Retention` promise."""

    async def belongings_of(self, user: str, tenant: str | None) -> Belongings:
        return await self._queries.read(lambda connection: erasing.belongings_of(connection, user, tenant))

    async def given_by(self, author: str, tenant: str | None) -> Belongings:
        return await self._queries.read(lambda connection: erasing.given_by(connection, author, tenant))

    async def erase(self, belongings: Belongings, at_us: int) -> None:
        await erasing.erase(belongings, at_us, self._writer, self._queries)
        await asyncio.to_thread(remains.empty_journal, self._path)

    async def expire(self, before_us: int) -> Expired:
        expired = await expiring.expire(before_us, self._writer, self._queries)
        if expired:
            await asyncio.to_thread(remains.empty_journal, self._path)
        return expired

    async def compact(self) -> None:
        await asyncio.to_thread(remains.rewrite, self._path)
