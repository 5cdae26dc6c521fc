"""HTTP client for providers: one pool of connections per origin; dialling and sending."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import aiohappyeyeballs

from gateway.upstream import errors
from gateway.upstream.connection import Connection
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut, Phase, peer_name
from gateway.upstream.request import Deadlines, Origin, OutgoingRequest, Timeouts, encode_head
from gateway.upstream.response import UpstreamResponse

P = TypeVar("P", bound=asyncio.Protocol)

# How long one address is tried alone before the next is tried beside it (RFC 8305, section 5).
HEAD_START_SECONDS = 0.25

# How long a closing TLS connection waits for the other side's close_notify.
TLS_CLOSE_SECONDS = 1.0


async def dial(origin: Origin, deadlines: Deadlines, make_protocol: Callable[[], P]) -> P:
    """Connect to `origin`. Raises ExchangeFailed or ExchangeTimedOut."""
    loop = asyncio.get_running_loop()
    phase: Phase = "connect"
    try:
        async with asyncio.timeout_at(deadlines.connect_at) as timeout:
            addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            if (allows := origin.allows) is not None:
                # What is connected to below are these addresses, whatever the name resolves to by then.
                addresses = [each for each in addresses if allows(origin.host, str(each[4][0]))]
                if not addresses:
                    raise ExchangeFailed(f"{origin.host} has no address that may be called.", "connect")
            # Not left to the loop, as uvloop tries the addresses one by one.
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=HEAD_START_SECONDS, loop=loop
            )
            phase = "tls"
            _, protocol = await loop.create_connection(
                make_protocol,
                sock=sock,
                ssl=origin.tls,
                server_hostname=origin.host if origin.tls else None,
                ssl_shutdown_timeout=TLS_CLOSE_SECONDS if origin.tls else None,
            )
            return protocol
    except (OSError, ValueError, RuntimeError, OverflowError) as error:
        if timeout.expired():
            what = "connecting to" if phase == "connect" else "TLS handshake with"
            message = f"{what} {peer_name(origin)} took longer than {deadlines.connect_seconds:g} s."
            raise ExchangeTimedOut(message, phase) from None
        explain = errors.connect_failure if phase == "connect" else errors.tls_failure
        raise explain(error, origin) from error


class PoolStats(NamedTuple):
    """Counts of connections, and of requests that wait for one."""

    open_connections: int = 0
    idle_connections: int = 0
    waiting_requests: int = 0


class Pool:
    """Connections to one origin; `on_unused` is called when there is none and no request waits for one."""

    def __init__(self, origin: Origin, on_unused: Callable[[], object]) -> None:
        self._origin = origin
        self._on_unused = on_unused
        # A slot is the right to hold a socket: taken before dialling, freed when the socket is gone.
        self._slots_taken = 0
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._is_closed = False
        self._emptied: asyncio.Future[None] | None = None

    async def acquire(self, deadlines: Deadlines) -> Connection:
        """Return a connection for one exchange. Raises ExchangeFailed or ExchangeTimedOut."""
        # It comes back by itself: see `release` and `on_closed`.
        if (idle := self.take_idle()) is not None:
            return idle
        if self._slots_taken < self._origin.max_connections:
            self._slots_taken += 1
            return await self._open(deadlines)
        return await self._wait(deadlines) or await self._open(deadlines)

    def take_idle(self) -> Connection | None:
        # The one used last goes first, so that those not needed expire.
        return self._idle.pop() if self._idle else None

    def stats(self) -> PoolStats:
        return PoolStats(len(self._connections), len(self._idle), len(self._waiters))

    async def close(self) -> None:
        self._is_closed = True
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(self._closed())
        self._idle.clear()
        for connection in list(self._connections):
            connection.close()
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    def release(self, connection: Connection) -> None:
        """Give a connection to the request that waits longest, or keep it for a while."""
        if self._is_closed:
            connection.close()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)
            connection.keep(self._origin.keepalive_seconds)

    def on_closed(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free_slot()
        if self._emptied is not None and not self._connections and not self._emptied.done():
            self._emptied.set_result(None)

    async def _open(self, deadlines: Deadlines) -> Connection:
        try:
            connection = await dial(self._origin, deadlines, lambda: Connection(self._origin, self))
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

    async def _wait(self, deadlines: Deadlines) -> Connection | None:
        # None stands for a slot in which to open a connection.
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadlines.connect_at):
                return await waiter
        except TimeoutError:
            self._abandon(waiter)
            fault = f"none of the {self._origin.max_connections} connections to {peer_name(self._origin)} came free"
            raise ExchangeTimedOut(f"{fault} within {deadlines.connect_seconds:g} s.", "connect") from None
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def _abandon(self, waiter: asyncio.Future[Connection | None]) -> None:
        # It may have been given something just as it stopped waiting.
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if waiter.cancelled() or waiter.exception() is not None:
            return
        connection = waiter.result()
        if connection is None:
            self._free_slot()
        elif connection.is_open:
            self.release(connection)

    def _free_slot(self) -> None:
        if (waiter := self._next_waiter()) is not None:
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


class Upstream:
    """HTTP/1.1 client (RFC 9112) with a pool for each origin. For one event loop."""

    def __init__(self) -> None:
        self._pools: dict[Origin, Pool] = {}
        self._is_closed = False
        self._now: Callable[[], float] | None = None

    async def send(self, request: OutgoingRequest, origin: Origin, timeouts: Timeouts) -> UpstreamResponse:
        """Send a request and return the response as soon as its final head is there.

        Raises BadInput for its head, ExchangeFailed, ExchangeTimedOut, and what its body's iterator raises.
        """
        # Asked for once: before Python 3.12 each time costs a call into the kernel.
        now = self._now = self._now or asyncio.get_running_loop().time
        head = encode_head(request)
        deadlines = Deadlines.from_now(now(), timeouts)
        while True:
            pool = self._pool(origin)
            connection = pool.take_idle() or await pool.acquire(deadlines)
            try:
                return await connection.exchange(request, head, deadlines)
            except errors.StaleConnection:
                # A kept connection that had died; it raises this only if the body can be sent again.
                deadlines = deadlines.from_retry(now())

    def stats(self) -> PoolStats:
        counts = (pool.stats() for pool in self._pools.values())
        return PoolStats(*map(sum, zip(PoolStats(), *counts, strict=True)))

    async def close(self) -> None:
        """Close every connection, also those in use, and fail their requests."""
        self._is_closed = True
        for pool in list(self._pools.values()):
            await pool.close()

    def _pool(self, origin: Origin) -> Pool:
        if self._is_closed:
            raise ExchangeFailed("the upstream client is closed.", "connect")
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, lambda: self._pools.pop(origin, None))
        return pool
