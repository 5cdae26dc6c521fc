"""Read the rows of an export job page by page, with bounded memory, and stop it in the middle."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.store.base import Store

T = TypeVar("T")

PAGE_ROWS = 200
# Bodies in memory at a time, as sent.
BATCH_BYTES = 4 * 1024 * 1024

# Longest wait for tokens and cost of the newest rows, which are known some ms after these are stored.
FACTS_SECONDS = 10.0

_POLL_SECONDS = 0.05
_OLDEST_FIRST = Sort("seq", descending=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """A page of the matching rows, oldest first."""

    where: Filter
    page: Page


@dataclass(slots=True)
class Progress:
    """Progress of an export; `store_call` is cancelled with it.

    Args:
        part: name of the file in the making.
        checkpoint: where a job goes on after a kill; what it counts is in that file.
    """

    rows_total: int | None = None
    rows_done: int = 0
    checkpoint: Mapping[str, object] = field(default_factory=dict)
    part: str = ""
    is_stopped: bool = False
    store_call: asyncio.Future[Any] | None = None

    def stop(self) -> None:
        self.is_stopped = True
        if self.store_call is not None:
            self.store_call.cancel()

    async def run_call(self, store_call: Coroutine[Any, Any, T]) -> T:
        if self.is_stopped:
            store_call.close()
            raise Stopped
        task: asyncio.Task[T] = asyncio.create_task(store_call)
        self.store_call = task
        try:
            return await task
        except asyncio.CancelledError:
            if self.is_stopped:
                raise Stopped from None
            raise
        finally:
            task.cancel()
            self.store_call = None


class Stopped(Exception):
    """The export was stopped during a store call."""


async def wait_for_facts(store: Store, where: Filter, progress: Progress) -> None:
    """Wait until tokens and cost of matching rows are known, but not for ever."""
    not_yet, one = AllOf((where, Comparison("interpreted_at_us", Op.EQ, None))), Page(1)
    give_up_at = asyncio.get_running_loop().time() + FACTS_SECONDS
    while await progress.run_call(store.find_requests(not_yet, _OLDEST_FIRST, one, None, in_background=True)):
        if progress.is_stopped or asyncio.get_running_loop().time() > give_up_at:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def read_pages(
    store: Store, selection: Selection, tenant: str | None, progress: Progress
) -> AsyncIterator[list[RequestRecord]]:
    """Yield the rows of a selection, oldest first."""
    last_seq, offset, left = 0, selection.page.offset, selection.page.limit
    while left > 0:
        rest = AllOf((selection.where, Comparison("seq", Op.GT, last_seq)))
        page = Page(min(left, PAGE_ROWS), offset)
        call = store.find_requests(rest, _OLDEST_FIRST, page, tenant, in_background=True)
        records = await progress.run_call(call)
        if not records:
            return
        yield records
        last_seq, offset, left = records[-1].seq, 0, left - len(records)
