"""Find and erase a person's data, within what a caller may see."""

from collections.abc import Callable

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.principal import Principal
from gateway.models.request import ErasureScope
from gateway.store.base import Admin


class ErasureService:
    """Erasure of a person's data; `has_journaled_rows` tells whether requests wait in the journal."""

    def __init__(self, store: Admin, has_journaled_rows: Callable[[], bool]) -> None:
        self._store = store
        self._has_journaled_rows = has_journaled_rows

    async def find_user_scope(self, user: str, principal: Principal) -> ErasureScope:
        """Return the user's requests, and feedback on these or by the user."""
        return await self._store.find_user_scope(user, principal.tenant)

    async def find_author_scope(self, author: str, principal: Principal) -> ErasureScope:
        return await self._store.find_author_scope(author, principal.tenant)

    async def erase(self, scope: ErasureScope) -> None:
        """Erase what was found. Raises StoreUnavailable; what is left is found again."""
        # Rows of the journal would come back once they are stored.
        if self._has_journaled_rows():
            raise StoreUnavailable(
                "requests wait in the journal, and those of the person would be stored after the erasure.",
                hint="Send it again once /readyz answers 200.",
            )
        await self._store.erase(scope, now_us())
