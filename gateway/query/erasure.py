"""Find and erase a person's data, within what a caller may see."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.principal import Principal
from gateway.models.request import ErasureScope
from gateway.store.base import Admin


class ErasureService:
    """Finds and erases what there is of a person, within what a caller may see.

    Args:
        do_rows_wait: tells whether requests wait outside the store to be brought into it.
    """

    def __init__(self, store: Admin, has_journaled_rows: Callable[[], bool]) -> None:
        self._store = store
        self._has_journaled_rows = has_journaled_rows

    async def find_user_scope(self, user: str, principal: Principal) -> ErasureScope:
        """Return what there is of a user: their requests, and the feedback on these and by them."""
        return await self._store.find_user_scope(user, principal.tenant)

    async def find_author_scope(self, author: str, principal: Principal) -> ErasureScope:
        """Return what there is of an author: the feedback by them."""
        return await self._store.find_author_scope(author, principal.tenant)

    async def erase(self, scope: ErasureScope) -> None:
        """Erase what was found. What comes in meanwhile is not touched.

        Raises:
            StoreUnavailable: rows wait outside the store; or it failed, and what is left is found again.
        """
        if self._has_journaled_rows():
            raise StoreUnavailable(
                "requests wait in the file beside the store, and theirs among them would come back.",
                hint="Send it again once /readyz answers 200.",
            )
        await self._store.erase(scope, now_us())
