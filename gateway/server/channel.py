"""Messages between a supervisor and its workers, and the channel that carries them."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.models.process_metrics import MetricFamilies

if TYPE_CHECKING:
    # It takes memory that the ingester can do without.
    from gateway.config.models import Config
    from gateway.models.quota import Quota
    from gateway.recording.access_log import AccessLogMode
    from gateway.wire.pricing import ConfiguredPrice


class Message:
    """What is sent over a channel."""


@dataclass(frozen=True, slots=True)
class Start(Message):
    """The first message to a worker: the slot with this number is its own."""

    number: int
    config: Config
    # Of the latest reload.
    reloaded: Config
    # Counted by its predecessors in the slot.
    earlier_metrics: MetricFamilies
    # Folder of the gateway's journal.
    journal: Path
    # File descriptors of the sockets of each slot.
    listeners: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Serving(Message):
    """From a worker: it accepts connections."""


@dataclass(frozen=True, slots=True)
class Draining(Message):
    """From a worker: it accepts no more connections; requests in flight end."""


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """From a worker: why it ends."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Reload(Message):
    """To a worker: use this configuration, which was found usable."""

    config: Config


@dataclass(frozen=True, slots=True)
class CoverSlot(Message):
    """To a worker: also accept the connections of a slot that has no worker."""

    number: int


@dataclass(frozen=True, slots=True)
class UncoverSlot(Message):
    """To a worker: the slot has a worker again."""

    number: int


@dataclass(frozen=True, slots=True)
class ReportMetrics(Message):
    """To a worker: send a MetricsReport now."""


@dataclass(frozen=True, slots=True)
class MetricsReport(Message):
    """From a worker: its metrics."""

    metrics: MetricFamilies


@dataclass(frozen=True, slots=True)
class QueryPeers(Message):
    """From a worker: asks for the metrics of the others."""

    query_id: int


@dataclass(frozen=True, slots=True)
class PeerMetrics(Message):
    """To a worker: the answer to QueryPeers."""

    query_id: int
    metrics: Sequence[MetricFamilies]


@dataclass(frozen=True, slots=True)
class IngesterSettings:
    """What the ingester takes from the configuration, in plain values."""

    store_url: str
    local_dir: str
    journal: Path
    rates: Mapping[str, ConfiguredPrice]
    prices_as: Mapping[str, str]
    base_urls: Mapping[str, str]
    key_limits: Mapping[str, Sequence[Quota]]
    log_level: str
    has_human_log: bool
    access_log: AccessLogMode
    # Arguments of `open_reporter`; None where nothing is exported.
    telemetry: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class StartIngester(Message):
    """The first message to the ingester."""

    settings: IngesterSettings
    # Counted by its predecessors.
    earlier_metrics: MetricFamilies


@dataclass(frozen=True, slots=True)
class ReloadIngester(Message):
    """To the ingester: use these settings."""

    settings: IngesterSettings


@dataclass(frozen=True, slots=True)
class FinishIngester(Message):
    """To the ingester: store what is journaled, and end; nobody appends any more."""


@dataclass(frozen=True, slots=True)
class UsageStored(Message):
    """From the ingester, and to workers: usage of a quota was stored."""


_LENGTH = struct.Struct("<I")


class Channel:
    """Messages both ways over a socket, whole and in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: Message) -> None:
        """Send a message, unless the other end is closed."""
        if not self._writer.is_closing():
            # Pickle keeps secrets of the configuration and errors as they are, and only processes of one
            # gateway hold the ends of the socket.
            data = pickle.dumps(message)
            self._writer.write(_LENGTH.pack(len(data)) + data)

    async def flush(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def receive(self) -> Message | None:
        """Return the next message; None when the other end is closed."""
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
        """Send what is left, and close this end."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def open_channel(end: socket.socket) -> Channel:
    """Return the channel at one end of a socket pair."""
    return Channel(*await asyncio.open_unix_connection(sock=end))
