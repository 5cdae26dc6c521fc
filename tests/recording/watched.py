"""A real store whose use is watched, and which can be made useless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.store.base import JournalPosition, Store, UsageOf
from tests.store.samples import exchange

REPLY = b'{"id":"chatcmpl-1","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'

DOWN = StoreUnavailable("the disk is full.")


class WatchedStore:
    """Passes everything on to a store. `ingested` holds the rows that each write was given.

    While `failure` is set each write raises it: before it is done, or after it with `fails_late`. While `is_away`
    positions cannot be read either.
    """

    def __init__(self, store: Store) -> None:
        self.ingested: list[list[str]] = []
        self.failure: Exception | None = None
        self.fails_late = False
        self.is_away = False
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def ingest(
        self,
        rows: Sequence[tuple[Exchange, Facts]],
        position: JournalPosition | None,
        at_us: int,
        usage_of: UsageOf | None = None,
    ) -> list[tuple[int, Facts]]:
        if self.failure is not None and not self.fails_late:
            raise self.failure
        counted = await self._store.ingest(rows, position, at_us, usage_of)
        self.ingested.append([exchange.identity.request_id for exchange, _ in rows])
        if self.failure is not None:
            raise self.failure
        return counted

    async def journal_positions(self) -> dict[str, int]:
        if self.failure is not None and self.is_away:
            raise self.failure
        return await self._store.journal_positions()

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        if self.failure is not None:
            raise self.failure
        return await self._store.uninterpreted(limit)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail if it does not within ten seconds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


def chat(request_id: str = "request-1", body: bytes = REPLY, **others: object) -> Exchange:
    """A chat completion whose answer tells tokens."""
    return exchange(request_id, response_body=body, response_size=len(body), **others)  # type: ignore[arg-type]
