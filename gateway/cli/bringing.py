"""What is done with a batch of past requests: it is brought in, or only looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.cli.stores import audited, is_missing, open_existing, open_or_create
from gateway.config import Config
from gateway.domain.feedback import Feedback
from gateway.domain.past import PastRequest
from gateway.feedback.past import enter_missing, missing_entries
from gateway.provisioning import base_urls_of, payloads_of, prices_of
from gateway.recording.history import History
from gateway.recording.pricing import Pricing
from gateway.store.base import Store


@dataclass(frozen=True, slots=True)
class Taken:
    """How many requests and entries of feedback of a batch were new."""

    requests: int
    feedback: int


Take = Callable[[Sequence[PastRequest]], Awaitable[Taken]]


@asynccontextmanager
async def bringing_in(config: Config) -> AsyncIterator[Take]:
    """Give what stores batches, each request and each entry once."""
    async with open_or_create(config.storage.url) as store, audited(store, "import"):
        history = _history(store, config)

        async def take(batch: Sequence[PastRequest]) -> Taken:
            # Requests first: whatever ends this in between is made good by the next time.
            return Taken(await history.bring_in(batch), await enter_missing(store, _feedback(batch)))

        yield take


@asynccontextmanager
async def looking_at(config: Config) -> AsyncIterator[Take]:
    """Give what says how much of a batch would be stored. Without a store that is all of it."""
    if is_missing(config.storage.url):
        yield _all
        return
    async with open_existing(config.storage.url) as store:
        history = _history(store, config)

        async def take(batch: Sequence[PastRequest]) -> Taken:
            entries = await missing_entries(store, _feedback(batch))
            return Taken(len(await history.missing(batch)), len(entries))

        yield take


async def _all(batch: Sequence[PastRequest]) -> Taken:
    return Taken(len(batch), len(_feedback(batch)))


def _feedback(batch: Sequence[PastRequest]) -> list[Feedback]:
    return [entry for past in batch for entry in past.feedback]


def _history(store: Store, config: Config) -> History:
    pricing = Pricing(prices_of(config), base_urls_of(config))
    return History(store, pricing, payloads_of(config), config.storage.max_body_bytes)
