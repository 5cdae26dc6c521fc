"""Pools of read connections: some for lookups, some for quick queries, some for slow ones."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.errors import GatewayError, Overloaded, QueryTimeout, StoreUnavailable
from gateway.store.dialect import AsyncConnection, Parameters

T = TypeVar("T")
# Statements of which the first that finds anything counts, and what is bound to each.
Lookup = tuple[Sequence[str], Parameters]
Work = Callable[[AsyncConnection], Awaitable[T]]

# How long a query waits for a connection before the caller is asked to retry.
MAX_WAIT_SECONDS = 5.0

# How long a query may hold a quick connection; then it starts again on a slow one.
QUICK_SECONDS = 1.0

LOOKUP_CONNECTIONS = 2
QUICK_CONNECTIONS = 2
SLOW_CONNECTIONS = 3


class ReadConnection(AsyncConnection):
    """A connection of a pool, opened when it is first used, and again after it was lost or closed.

    `is_busy` is true from `begin` until `end` has succeeded: an interrupted query leaves it true.
    """

    is_busy = False

    async def begin(self, seconds: float | None) -> None:
        """Start a query with a time limit."""
        self.is_busy = True

    async def end(self) -> None:
        """Finish a query and its snapshot."""
        self.is_busy = False

    @abstractmethod
    async def fetch_batch(self, lookups: Sequence[Lookup]) -> Sequence[list[Any] | Exception]:
        """Run lookups of several callers in one snapshot, at little more than the cost of one."""

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Finish what is running, then disconnect."""

    async def abort(self) -> None:
        """Interrupt what is running, then disconnect."""
        await self.close()


class _Slots:
    """Connections that serve one query each, first come, first served."""

    def __init__(self, connections: Sequence[ReadConnection]) -> None:
        self.connections = connections
        self.idle = list(connections)
        self.free = asyncio.Semaphore(len(connections))

    def put_back(self, connection: ReadConnection) -> None:
        self.idle.append(connection)
        self.free.release()


@dataclass(slots=True, eq=False)
class _WaitingLookup:
    lookup: Lookup
    rows: asyncio.Future[list[Any]]


def settle(future: asyncio.Future[Any], result: object) -> None:
    """Give a future its result, or the error that the result is, unless nobody waits for it any more."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


class _LookupQueue:
    """Runs the lookups of one event loop turn, and those that come while all connections are busy, together."""

    def __init__(self, connections: Sequence[ReadConnection]) -> None:
        self.connections = connections
        self._loop = asyncio.get_running_loop()
        self._idle = list(connections)
        self._waiting: list[_WaitingLookup] = []
        self._batches: set[asyncio.Task[None]] = set()

    def fetch(self, lookup: Lookup) -> asyncio.Future[list[Any]]:
        waiting = _WaitingLookup(lookup, self._loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._dispatch)
        return waiting.rows

    async def close(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            settle(each.rows, StoreUnavailable("the store is closed."))
        await asyncio.gather(*self._batches)
        await asyncio.gather(*(connection.close() for connection in self.connections))

    def _dispatch(self) -> None:
        if self._waiting and self._idle:
            batch, self._waiting = self._waiting, []
            task = self._loop.create_task(self._run(self._idle.pop(), batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    async def _run(self, connection: ReadConnection, batch: Sequence[_WaitingLookup]) -> None:
        results: Sequence[list[Any] | Exception]
        try:
            results = await connection.fetch_batch([each.lookup for each in batch])
        except Exception as error:
            results = [error] * len(batch)
        for each, result in zip(batch, results, strict=True):
            settle(each.rows, result)
        self._idle.append(connection)
        self._dispatch()


class ReadPool:
    """Reads one database. Each read sees every commit that was acknowledged before it began.

    Made, called and closed on one event loop. Without a time limit queries also wait for a connection without
    limit.
    """

    def __init__(self, new_connection: Callable[[], ReadConnection], seconds: float | None) -> None:
        self._seconds = seconds
        self._lookups = _LookupQueue([new_connection() for _ in range(LOOKUP_CONNECTIONS)])
        self._quick = _Slots([new_connection() for _ in range(QUICK_CONNECTIONS)])
        self._slow = _Slots([new_connection() for _ in range(SLOW_CONNECTIONS)])
        self._limits: set[asyncio.Timeout] = set()
        self._resets: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def open(self) -> None:
        """Open all connections now."""
        every = (*self._lookups.connections, *self._quick.connections, *self._slow.connections)
        await asyncio.gather(*(connection.open() for connection in every), return_exceptions=True)

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Return the rows of a lookup: a short statement, which is not interrupted."""
        return await self.fetch_first((sql,), parameters)

    async def fetch_first(self, statements: Sequence[str], parameters: Parameters) -> list[Any]:
        """Return the rows of the first lookup that finds any, all in one snapshot."""
        self._refuse_if_closed()
        return await self._lookups.fetch((statements, parameters))

    async def fetch_first_of_each(
        self, statements: Sequence[str], parameters: Sequence[Parameters]
    ) -> list[list[Any]]:
        """Return what `fetch_first` returns for each of several parameters."""
        if len(parameters) == 1:
            # Nearly always, and gathering costs more than the lookup.
            return [await self.fetch_first(statements, parameters[0])]
        self._refuse_if_closed()
        return await asyncio.gather(*(self._lookups.fetch((statements, each)) for each in parameters))

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Any:
        """Return the first row of a lookup, or None."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def query(self, work: Work[T], *, is_costly: bool = False) -> T:
        """Run `work` within the time limit, perhaps twice. Raises QueryTimeout or Overloaded."""
        max_wait = None if self._seconds is None else MAX_WAIT_SECONDS
        if not is_costly and self._seconds is not None and self._seconds > QUICK_SECONDS:
            try:
                return await self._run(self._quick, work, QUICK_SECONDS, max_wait)
            except QueryTimeout:
                pass
        elif not is_costly:
            return await self._run(self._quick, work, self._seconds, max_wait)
        return await self._run(self._slow, work, self._seconds, max_wait)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, however long it waits and takes."""
        return await self._run(self._slow, work, None, None)

    async def close(self) -> None:
        """Interrupt queries, refuse those that wait, let running lookups finish, then disconnect."""
        if self._is_closed:
            return
        self._is_closed = True
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())
        for slots in (self._quick, self._slow):
            for _ in slots.connections:
                await slots.free.acquire()
            await asyncio.gather(*(connection.close() for connection in slots.connections))
        await self._lookups.close()

    async def _run(self, slots: _Slots, work: Work[T], seconds: float | None, max_wait: float | None) -> T:
        self._refuse_if_closed()
        connection: ReadConnection | None = None
        limit = asyncio.timeout(max_wait)
        try:
            async with limit:
                self._limits.add(limit)
                await slots.free.acquire()
                connection = slots.idle.pop()
                self._refuse_if_closed()
                limit.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)
                return await _finish_query(connection, work, seconds)
        except TimeoutError as error:
            if not limit.expired():
                raise
            self._refuse_if_closed()
            raise (_no_connection_free() if connection is None else _time_exceeded(seconds)) from error
        finally:
            self._limits.discard(limit)
            if connection is not None:
                self._put_back(slots, connection)

    def _put_back(self, slots: _Slots, connection: ReadConnection) -> None:
        if not connection.is_busy:
            slots.put_back(connection)
            return
        # The caller does not wait until the interrupted statement has ended; the next query does.
        reset = asyncio.create_task(_reset(slots, connection))
        self._resets.add(reset)
        reset.add_done_callback(self._resets.discard)

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")


async def _finish_query(connection: ReadConnection, work: Work[T], seconds: float | None) -> T:
    await connection.begin(seconds)
    try:
        result = await work(connection)
    except Exception:
        await connection.end()
        raise
    await connection.end()
    return result


async def _reset(slots: _Slots, connection: ReadConnection) -> None:
    try:
        await connection.abort()
    finally:
        connection.is_busy = False
        slots.put_back(connection)


def _no_connection_free() -> GatewayError:
    return Overloaded("too many queries are running.", hint="Send it again soon.")


def _time_exceeded(seconds: float | None) -> GatewayError:
    return QueryTimeout(
        f"the query takes longer than the {seconds or 0:g} seconds that are allowed.",
        hint="Ask for less time, for fewer conditions on the text of bodies, or for fewer requests at a time.",
    )
