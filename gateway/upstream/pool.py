"""The connections to one origin: how many there may be, who gets one, and how long an idle one is kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.upstream.connection import Connection
from gateway.upstream.dial import dial
from gateway.upstream.failures import ExchangeFailed, ExchangeTimedOut, peer_name
from gateway.upstream.message import Origin
from gateway.upstream.timing import Limits


@dataclass(frozen=True, slots=True)
class PoolStats:
    """How many connections hold a socket, how many of these are idle, and how many requests wait for one."""

    open_connections: int = 0
    idle_connections: int = 0
    waiting_requests: int = 0

    def __add__(self, other: PoolStats) -> PoolStats:
        return PoolStats(
            self.open_connections + other.open_connections,
            self.idle_connections + other.idle_connections,
            self.waiting_requests + other.waiting_requests,
        )


class Pool:
    """Connections to one origin.

    The connection that was used last is used first, so that those not needed expire. Who has to wait is
    served in order. A slot is the right to hold a socket: taken before dialling, freed when that is gone.

    Args:
        origin: where the connections lead, how many there may be, and how long an idle one is kept.
        on_unused: called when there is neither a connection nor anybody who wants one.
    """

    def __init__(self, origin: Origin, on_unused: Callable[[], None]) -> None:
        self._origin = origin
        self._on_unused = on_unused
        self._slots_taken = 0
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._is_closed = False
        self._emptied: asyncio.Future[None] | None = None

    async def acquire(self, limits: Limits) -> Connection:
        """Return a connection for one exchange; it comes back by itself or is lost.

        Raises:
            ExchangeFailed: no new connection could be made, or the pool was closed.
            ExchangeTimedOut: none came free or was made by `limits.connect_at`.
        """
        if self._idle:
            return self._idle.pop()
        if self._slots_taken < self._origin.max_connections:
            self._slots_taken += 1
            return await self._open(limits)
        return await self._wait(limits) or await self._open(limits)

    def stats(self) -> PoolStats:
        """Count what is there now."""
        return PoolStats(len(self._connections), len(self._idle), len(self._waiters))

    async def close(self) -> None:
        """Close every connection and turn away who waits; return when all sockets are gone."""
        self._is_closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._closed())
        self._waiters.clear()
        self._idle.clear()
        for connection in list(self._connections):
            connection.close()
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    def take_back(self, connection: Connection) -> None:
        """Give a connection to whoever waits first, or keep it for a while."""
        if self._is_closed:
            connection.close()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)
            connection.keep(self._origin.keepalive_seconds)

    def forget(self, connection: Connection) -> None:
        """Free the slot of a connection whose socket is gone."""
        if connection in self._connections:
            self._connections.remove(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free_slot()
        if self._emptied is not None and not self._connections and not self._emptied.done():
            self._emptied.set_result(None)

    async def _open(self, limits: Limits) -> Connection:
        """Dial, in a slot that has been taken."""
        try:
            connection = await dial(self._origin, limits, lambda: Connection(self._origin, self))
        except BaseException:
            self._free_slot()
            raise
        if connection.has_socket:
            self._connections.add(connection)
        else:
            self._free_slot()
        if self._is_closed:
            connection.close()
            raise self._closed()
        return connection

    async def _wait(self, limits: Limits) -> Connection | None:
        """Wait in line for a connection that comes back, or for a slot to open one in (None)."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(limits.connect_at):
                return await waiter
        except TimeoutError:
            self._give_up(waiter)
            peer, count = peer_name(self._origin), self._origin.max_connections
            seconds = limits.connect_seconds
            message = f"none of the {count} connections to {peer} came free within {seconds:g} s."
            raise ExchangeTimedOut(message, "connect") from None
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def _give_up(self, waiter: asyncio.Future[Connection | None]) -> None:
        """Pass on what a waiter was given in the moment in which it stopped waiting."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if waiter.cancelled() or waiter.exception() is not None:
            return
        connection = waiter.result()
        if connection is None:
            self._free_slot()
        elif connection.is_open:
            self.take_back(connection)

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
            return
        self._slots_taken -= 1
        if not self._slots_taken:
            self._on_unused()

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _closed(self) -> ExchangeFailed:
        return ExchangeFailed(f"the connections to {peer_name(self._origin)} were closed here.", "connect")
