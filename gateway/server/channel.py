"""Messages between a supervisor and its workers, and the channel that carries them."""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gateway.config.models import Config
from gateway.models.process_metrics import MetricFamilies


@dataclass(frozen=True, slots=True)
class Start:
    """To a worker, first of all: what to serve, and as whom.

    Args:
        number: the worker's place.
        config: what the gateway was started with.
        reloaded: what it was told last to take over.
        inherited: what was counted by those who had the place before.
        listeners: file descriptors of the sockets of each place.
    """

    number: int
    config: Config
    reloaded: Config
    earlier_metrics: MetricFamilies
    listeners: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Serving:
    """From a worker: callers are let in."""


@dataclass(frozen=True, slots=True)
class Draining:
    """From a worker: no callers are let in any more; what is in flight ends."""


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: why it ends."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Reload:
    """To a worker: take over a configuration, which was found good."""

    config: Config


@dataclass(frozen=True, slots=True)
class CoverSlot:
    """To a worker: let in callers of another place too, where nobody does."""

    number: int


@dataclass(frozen=True, slots=True)
class UncoverSlot:
    """To a worker: the other place has a worker again."""

    number: int


@dataclass(frozen=True, slots=True)
class ReportMetrics:
    """To a worker: tell your figures now."""


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """From a worker: its figures."""

    metrics: MetricFamilies


@dataclass(frozen=True, slots=True)
class QueryPeers:
    """From a worker: what are the figures of the others?"""

    query_id: int


@dataclass(frozen=True, slots=True)
class PeerMetrics:
    """To a worker: the answer to its question."""

    query_id: int
    metrics: Sequence[MetricFamilies]


Message = (
    Start
    | Serving
    | Draining
    | Failed
    | Reload
    | CoverSlot
    | UncoverSlot
    | ReportMetrics
    | MetricsReport
    | QueryPeers
    | PeerMetrics
)


_LENGTH = struct.Struct("<I")


class Channel:
    """Messages both ways, whole and in order. They are pickled: only processes of one gateway have the ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: Message) -> None:
        """Send a message, unless the other end is gone."""
        if not self._writer.is_closing():
            data = pickle.dumps(message)
            self._writer.write(_LENGTH.pack(len(data)) + data)

    async def flush(self) -> None:
        """Wait until the other end has taken nearly all that was sent, or is gone."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def receive(self) -> Message | None:
        """Return the next message; None when the other end is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            message: Message = pickle.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.receive()) is not None:
            yield message

    async def close(self) -> None:
        """Send what is left, and end the connection."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


async def open_channel(end: socket.socket) -> Channel:
    """Return the channel at one end of a pair of sockets."""
    return Channel(*await asyncio.open_unix_connection(sock=end))
