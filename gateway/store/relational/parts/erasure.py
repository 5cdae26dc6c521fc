"""Taking out what there is of a person, and what is too old."""

from __future__ import annotations

from abc import abstractmethod

from gateway.domain.erasure import Belongings, Expired
from gateway.store.relational import erasing, expiring
from gateway.store.relational.parts.open_database import OpenDatabase


class Erasure(OpenDatabase):
    """Keeps what `Erasure` and `Retention` promise."""

    async def belongings_of(self, user: str, tenant: str | None) -> Belongings:
        return await self._exact.read(lambda connection: erasing.belongings_of(connection, user, tenant))

    async def given_by(self, author: str, tenant: str | None) -> Belongings:
        return await self._exact.read(lambda connection: erasing.given_by(connection, author, tenant))

    async def erase(self, belongings: Belongings, at_us: int) -> None:
        await erasing.erase(belongings, at_us, self._writer, self._exact)
        await self._remove_remains()

    async def expire(self, before_us: int) -> Expired:
        expired = await expiring.expire(before_us, self._writer, self._exact)
        if expired:
            await self._remove_remains()
        return expired

    @abstractmethod
    async def make_room(self, at_us: int) -> None:
        """Prepare for what comes."""

    @abstractmethod
    async def compact(self) -> None:
        """Write the database anew."""

    @abstractmethod
    async def _remove_remains(self) -> None:
        """Let go of older states of the database in which there is what was erased."""
