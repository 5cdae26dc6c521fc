"""Eraser: what there is of a person is counted, or taken out for good. Knows neither HTTP nor SQL."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.clock import now_us
from gateway.domain.erasure import Belongings
from gateway.domain.principal import Principal
from gateway.errors import StoreUnavailable
from gateway.store.administration import Erasure


class Eraser:
    """Finds and erases what there is of a person, within what a caller may see.

    Args:
        do_rows_wait: tells whether requests wait outside the store to be brought into it.
    """

    def __init__(self, store: Erasure, do_rows_wait: Callable[[], bool]) -> None:
        self._store = store
        self._do_rows_wait = do_rows_wait

    async def of_user(self, user: str, principal: Principal) -> Belongings:
        """Return what there is of a user: their requests, and the feedback on these and by them."""
        return await self._store.belongings_of(user, principal.tenant)

    async def of_author(self, author: str, principal: Principal) -> Belongings:
        """Return what there is of an author: the feedback by them."""
        return await self._store.given_by(author, principal.tenant)

    async def erase(self, belongings: Belongings) -> None:
        """Erase what was found. What comes in meanwhile is not touched.

        Raises:
            StoreUnavailable: rows wait outside the store; or it failed, and what is left is found again.
        """
        if self._do_rows_wait():
            raise StoreUnavailable(
                "requests wait in the file beside the store, and theirs among them would come back.",
                hint="Send it again once /readyz answers 200.",
            )
        await self._store.erase(belongings, now_us())
