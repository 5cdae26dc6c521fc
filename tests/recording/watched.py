"""A real store whose use is watched, and which can be made slow or useless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import exchange

REPLY = b'{"id":"chatcmpl-1","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'

DOWN = StoreUnavailable("the disk is full.")


class WatchedStore:
    """Passes everything on to a store. `appended` and `annotated` hold what each call was given.

    While `failure` is set every call raises it; while `gate` is closed appending waits.
    """

    def __init__(self, store: Store) -> None:
        self.appended: list[list[str]] = []
        self.annotated: list[list[Facts]] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        self.appended.append([exchange.identity.request_id for exchange in exchanges])
        await self.gate.wait()
        self._fail()
        return await self._store.append(exchanges)

    async def append_missing(self, past: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        self.appended.append([exchange.identity.request_id for exchange, _ in past])
        await self.gate.wait()
        self._fail()
        return await self._store.append_missing(past, at_us)

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> list[tuple[int, Facts]]:
        self._fail()
        self.annotated.append([found for _, found in facts])
        return await self._store.annotate(facts, at_us)

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        self._fail()
        return await self._store.uninterpreted(limit)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail if it does not within ten seconds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


async def all_read(store: Store) -> None:
    """Wait until every row has been interpreted."""
    for _ in range(2000):
        if not await store.uninterpreted(1):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("rows stayed uninterpreted")


def chat(request_id: str = "request-1", body: bytes = REPLY, **others: object) -> Exchange:
    """A chat completion whose answer tells tokens."""
    return exchange(request_id, response_body=body, response_size=len(body), **others)  # type: ignore[arg-type]
