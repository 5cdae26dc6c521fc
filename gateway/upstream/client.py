"""Sending requests to providers."""

from __future__ import annotations

import asyncio

from gateway.upstream.failures import ExchangeFailed, StaleConnection
from gateway.upstream.head import encode_head
from gateway.upstream.message import Origin, OutgoingRequest, Timeouts
from gateway.upstream.pool import Pool, PoolStats
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.timing import Limits


class Upstream:
    """An HTTP/1.1 client that sends what it is given and keeps connections (RFC 9112). For one event loop."""

    def __init__(self) -> None:
        self._pools: dict[Origin, Pool] = {}
        self._is_closed = False

    async def send(self, request: OutgoingRequest, origin: Origin, timeouts: Timeouts) -> UpstreamResponse:
        """Send a request and return the response as soon as its final head is there.

        A request is sent a second time only if a kept connection turns out to be dead before it answers
        anything, and its body is at hand. Cancelling drops the connection.

        Raises:
            BadInput: the request's head cannot be sent as it is.
            UpstreamError: the upstream could not be reached, or gave no usable answer.
            UpstreamTimeout: it took longer than `timeouts` allow.
            Exception: whatever the iterator of the request's body raises, here or from the response's `read`.
        """
        loop = asyncio.get_running_loop()
        head = encode_head(request)
        limits = Limits.from_now(loop.time(), timeouts)
        while True:
            connection = await self._pool(origin).acquire(limits)
            try:
                return await connection.exchange(request, head, limits)
            except StaleConnection:
                limits = limits.from_retry(loop.time())

    def stats(self) -> PoolStats:
        """Count connections and waiting requests of all origins."""
        return sum((pool.stats() for pool in self._pools.values()), PoolStats())

    async def close(self) -> None:
        """Close every connection, also those in use, whose requests fail. Nothing can be sent afterwards."""
        self._is_closed = True
        for pool in list(self._pools.values()):
            await pool.close()

    def _pool(self, origin: Origin) -> Pool:
        if self._is_closed:
            raise ExchangeFailed("the upstream client is closed.", "connect")
        pool = self._pools.get(origin)
        if pool is None:
            pool = Pool(origin, lambda: self._forget(origin))
            self._pools[origin] = pool
        return pool

    def _forget(self, origin: Origin) -> None:
        self._pools.pop(origin, None)
