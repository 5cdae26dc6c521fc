"""RequestTail: new requests as they are stored, read once a second for all listeners of the same filter."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from gateway.errors import GatewayError, Overloaded
from gateway.models.feedback import NO_FEEDBACK, FeedbackSummary
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.query.requests import NEWEST_FIRST
from gateway.store.base import Queries

log = structlog.get_logger("gateway.query")

TICK_SECONDS = 1.0

# Of one worker.
MAX_LISTENERS = 100

# Rows of one query, and queries of one filter in a tick; what is left comes with the next tick.
PAGE_ROWS = 100
MAX_PAGES = 10

# Positions of the log that a listener may go back by; one that was away for longer hears of it.
MAX_BACKLOG = 10_000

# Ticks that a listener may be behind by before it is ended.
MAX_QUEUED = 30

# How long a row is waited for that was given a lower position and is committed later, as on PostgreSQL, or whose
# facts are not read yet.
SETTLE_SECONDS = 3.0

# How long a listener has to take its last bytes once the tail is closed.
_CLOSING_SECONDS = 0.5

# From this many rows on they are rendered on another thread.
_MANY_ROWS = 10

# Returns a row as listeners send it.
Render = Callable[[RequestRecord, FeedbackSummary], bytes]

_IN_ORDER = Sort("seq", descending=False)


@dataclass(slots=True, eq=False)
class Listener:
    """Receives rendered rows.

    Args:
        was_away: for so long that rows before the first are left out.
    """

    limit: asyncio.Timeout
    was_away: bool = False
    _queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _is_ended: bool = False

    async def next(self) -> bytes | None:
        """Return new rows at each tick, often none; None when there will be no more."""
        return await self._queue.get()

    def give(self, data: bytes) -> None:
        if self._queue.qsize() >= MAX_QUEUED:
            self.end()
        elif not self._is_ended:
            self._queue.put_nowait(data)

    def end(self) -> None:
        """End after what is queued, however slowly that is taken."""
        if not self._is_ended:
            self._is_ended = True
            self._queue.put_nowait(None)
            if not self.limit.expired():
                self.limit.reschedule(asyncio.get_running_loop().time() + _CLOSING_SECONDS)


@dataclass(slots=True, eq=False)
class _Channel:
    """Listeners that have all rows of one filter and tenant up to a position."""

    where: Filter
    tenant: str | None
    position: int
    listeners: set[Listener] = field(default_factory=set)


class LogFrontier:
    """The position up to which no row can appear any more, and all rows have facts or are overdue."""

    def __init__(self, store: Queries) -> None:
        self._store = store
        self._tops: deque[tuple[float, int]] = deque()
        self.position = 0

    def restart(self, position: int) -> None:
        self._tops.clear()
        self.position = position

    async def advance(self) -> None:
        new = await self._store.new_rows(self.position)
        if new is None:
            return
        now = asyncio.get_running_loop().time()
        self._tops.append((now, new.top))
        # Positions are given without gaps; one that is missing may still be committed.
        is_whole = new.number == new.top - self.position
        settled = self.position
        if is_whole:
            settled = new.top if new.first_unread is None else new.first_unread - 1
        while self._tops and self._tops[0][0] <= now - SETTLE_SECONDS:
            settled = max(settled, self._tops.popleft()[1])
        self.position = max(self.position, settled)


class RequestTail:
    """Follows the log of all workers by polling, while somebody listens.

    Args:
        render: called once for each row in a tick.
    """

    def __init__(self, store: Queries, render: Render) -> None:
        self._store = store
        self._render = render
        self._frontier = LogFrontier(store)
        self._channels: list[_Channel] = []
        # Of this tick, by `seq`: a row may match several filters.
        self._rendered: dict[int, bytes] = {}
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @asynccontextmanager
    async def listen(self, where: Filter, tenant: str | None, after: int | None) -> AsyncIterator[Listener]:
        """Receive rows that match, from now on or after a position. Raises Overloaded.

        The body is cancelled soon after the tail is closed or the listener fell behind, without an error.
        """
        self._refuse_beyond_bounds()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                # It counts while the store is asked.
                listener = Listener(limit)
                self._listeners.add(listener)
                try:
                    await self._add(listener, where, tenant, after)
                    yield listener
                finally:
                    self._remove(listener)
        except TimeoutError:
            if not limit.expired():
                raise

    def close(self) -> None:
        """End all listeners, and take no more."""
        self._is_closed = True
        for listener in self._listeners:
            listener.end()
        if self._task is not None:
            self._task.cancel()

    def _refuse_beyond_bounds(self) -> None:
        if self._is_closed:
            raise Overloaded("the gateway is shutting down.", hint="Connect again soon.")
        if len(self._listeners) >= MAX_LISTENERS:
            fault = f"{MAX_LISTENERS} listeners follow the requests, as many as this process serves."
            raise Overloaded(fault, hint="Close some, or read /api/v1/requests instead.")

    async def _add(self, listener: Listener, where: Filter, tenant: str | None, after: int | None) -> None:
        newest = await self._store.find_requests(NO_FILTER, NEWEST_FIRST, Page(1), None)
        top = newest[0].seq if newest else 0
        listener.was_away = after is not None and top - after > MAX_BACKLOG
        now = self._frontier.position if self._channels else top
        # A position beyond the end is of another store.
        position = now if after is None or listener.was_away else min(after, top)
        if not self._channels:
            self._frontier.restart(position)
        self._channels.append(_Channel(where, tenant, position, {listener}))
        self._merge_channels()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="tail")

    def _merge_channels(self) -> None:
        merged: dict[tuple[Filter, str | None, int], _Channel] = {}
        for channel in self._channels:
            same = merged.setdefault((channel.where, channel.tenant, channel.position), channel)
            same.listeners |= channel.listeners
        self._channels = [channel for channel in merged.values() if channel.listeners]

    def _remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        for channel in self._channels:
            channel.listeners.discard(listener)
        self._merge_channels()

    async def _run(self) -> None:
        while self._channels:
            try:
                await self._tick()
            except GatewayError as error:
                # The rows come with a later tick.
                log.warning("new requests could not be read", reason=str(error))
            except Exception:
                log.exception("new requests could not be read")
            await asyncio.sleep(TICK_SECONDS)

    async def _tick(self) -> None:
        self._rendered.clear()
        await self._frontier.advance()
        for channel in list(self._channels):
            data = await self._read(channel)
            for listener in channel.listeners:
                listener.give(data)
        # Who was away has caught up.
        self._merge_channels()

    async def _read(self, channel: _Channel) -> bytes:
        rows: list[bytes] = []
        position, pages = channel.position, 0
        while position < self._frontier.position and pages < MAX_PAGES:
            position, more = await self._read_page(channel, position, self._frontier.position)
            rows += more
            pages += 1
        channel.position = position
        return b"".join(rows)

    async def _read_page(self, channel: _Channel, position: int, end: int) -> tuple[int, list[bytes]]:
        """Return how far the next rows of a channel go, and these."""
        within = (Comparison("seq", Op.GT, position), Comparison("seq", Op.LE, end))
        found = await self._store.find_requests(
            AllOf((channel.where, *within)), _IN_ORDER, Page(PAGE_ROWS), channel.tenant
        )
        if not found:
            return end, []
        await self._render_new([record for record in found if record.seq not in self._rendered])
        rows = [self._rendered[record.seq] for record in found]
        return (found[-1].seq if len(found) == PAGE_ROWS else end), rows

    async def _render_new(self, records: list[RequestRecord]) -> None:
        if not records:
            return
        feedback = await self._store.feedback_summaries([record.seq for record in records])
        if len(records) < _MANY_ROWS:
            self._rendered |= self._render_all(records, feedback)
        else:
            # Other callers' streams share the event loop.
            self._rendered |= await asyncio.to_thread(self._render_all, records, feedback)

    def _render_all(
        self, records: list[RequestRecord], feedback: Mapping[int, FeedbackSummary]
    ) -> dict[int, bytes]:
        return {record.seq: self._render(record, feedback.get(record.seq, NO_FEEDBACK)) for record in records}
