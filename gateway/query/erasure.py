"""Find and erase a person's data, within what a caller may see."""

from typing import Protocol

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.principal import Principal
from gateway.models.request import ErasureScope
from gateway.store.base import Admin


class Journal(Protocol):
    """Requests that the store does not have yet, and copies of those that it has."""

    async def wait(self) -> int:
        """Wait for rows that are not stored; return by how many milliseconds the store is behind still."""

    async def purge(self) -> bool:
        """Have what is stored removed from the journal; tell whether it is."""


class ErasureService:
    """Erasure of a person's data."""

    def __init__(self, store: Admin, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    async def find_user_scope(self, user: str, principal: Principal) -> ErasureScope:
        """Return the user's requests, and feedback on these or by the user."""
        return await self._store.find_user_scope(user, principal.tenant)

    async def find_author_scope(self, author: str, principal: Principal) -> ErasureScope:
        return await self._store.find_author_scope(author, principal.tenant)

    async def erase(self, scope: ErasureScope) -> None:
        """Erase what was found. Raises StoreUnavailable; what is left is found again."""
        # Rows of the journal would come back once they are stored.
        if await self._journal.wait():
            raise StoreUnavailable(
                "requests wait in the journal, and those of the person would be stored after the erasure.",
                hint="Send it again once /readyz answers 200.",
            )
        await self._store.erase(scope, now_us())
        if not await self._journal.purge():
            raise StoreUnavailable("what was erased is still in the journal.", hint="Send it again.")
