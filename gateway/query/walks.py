"""Lists within a time limit: the whole query if it is quick, else step by step back from the newest rows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import QueryTimeout

T = TypeVar("T")

# Share of the time in which the whole query may be answered; most need a tenth of it.
_WHOLE_SHARE = 0.4
# The next step is longer where one took less than this share of the time.
_QUICK_SHARE = 0.15
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Walked(Generic[T]):
    """Rows, newest first; `position` is where a walk ended that did not look at everything."""

    rows: list[T]
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ListWalk(Generic[T]):
    """How a list is walked back.

    Args:
        read: returns the newest matching rows from a position down to another, which is left out, at most so many.
        begin: returns the first position, and that of the last row that may match.
        is_over: tells whether nothing that is left there or below can match.
        first_step: length of the first step.
    """

    read: Callable[[int | None, int | None, int], Awaitable[list[T]]]
    begin: Callable[[], Awaitable[tuple[int, int]]]
    is_over: Callable[[int], Awaitable[bool]]
    first_step: int

    async def find(self, limit: int, seconds: float | None) -> Walked[T]:
        """Return the newest matching rows, as far as the time allows; without a limit all of them."""
        if seconds is None:
            return Walked(await self.read(None, None, limit))
        ends_at = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds * _WHOLE_SHARE):
                return Walked(await self.read(None, None, limit))
        except (TimeoutError, QueryTimeout):
            return await self._walk(limit, seconds, ends_at)

    async def _walk(self, limit: int, seconds: float, ends_at: float) -> Walked[T]:
        position, last = await self.begin()
        rows: list[T] = []
        step = self.first_step
        has_begun = False
        while position >= last:
            began = time.monotonic()
            below = position - step
            try:
                # The first step always ends, so that going on from there always gets on.
                async with asyncio.timeout(max(ends_at - began, 0) if has_begun else None):
                    rows += await self.read(position, below, limit - len(rows))
                    position, has_begun = below, True
                    if len(rows) >= limit or await self.is_over(position):
                        return Walked(rows)
            except (TimeoutError, QueryTimeout):
                break
            if time.monotonic() - began < seconds * _QUICK_SHARE:
                step *= _GROWTH
        return Walked(rows, position if position >= last else None)


async def within(work: Awaitable[T], seconds: float | None, otherwise: T) -> T:
    """Return the result of something that nobody need wait long for, or something else."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except (TimeoutError, QueryTimeout):
        if seconds is None:
            raise
        return otherwise
