"""One of several processes that serve, which does what its supervisor says until that tells it to stop or is gone.

Usage: python -m gateway.server.worker DESCRIPTOR, where that is the worker's end of the channel, inherited.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
from collections.abc import Sequence

import structlog
import uvloop

from gateway.app import WorkerContext
from gateway.config.models import Config
from gateway.errors import GatewayError
from gateway.models.process_metrics import MetricFamilies
from gateway.server.channel import (
    Channel,
    CoverSlot,
    Draining,
    Failed,
    Message,
    MetricsReport,
    PeerMetrics,
    QueryPeers,
    Reload,
    ReportMetrics,
    Serving,
    Start,
    UncoverSlot,
    open_channel,
)
from gateway.server.http_server import HttpServer, Sites, open_http_server
from gateway.server.listeners import close_all
from gateway.server.process import configure_logs

log = structlog.get_logger("gateway.server")

REPORT_INTERVAL_SECONDS = 1.0
"""How often the supervisor is told the figures unasked. What is counted after that is lost with a worker that is
killed."""


def main() -> None:
    """Serve, and exit: with 0 if nothing went wrong."""
    # Meant for the supervisor, whoever else they reach.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(code)


async def _serve(end: socket.socket) -> int:
    channel = await open_channel(end)
    try:
        start = await channel.receive()
        if isinstance(start, Start):
            await Worker(channel, start).serve()
    except (GatewayError, OSError) as error:
        channel.send(Failed(error))
        return 1
    finally:
        await channel.close()
    return 0


class Worker:
    """A worker's place, and the orders that come to it."""

    def __init__(self, channel: Channel, start: Start) -> None:
        self._channel = channel
        self._start = start
        self._listeners = [[socket.socket(fileno=one) for one in slot] for slot in start.listeners]
        self._covered_slots: dict[int, Sites] = {}
        self._pending_queries: dict[int, asyncio.Future[Sequence[MetricFamilies]]] = {}
        self._query_ids = itertools.count()
        self._is_draining = False
        self._has_lost_supervisor = False

    async def serve(self) -> None:
        """Serve until told to stop or left alone, then finish what is in flight.

        Raises:
            GatewayError, OSError: the configuration cannot be used as it is, or one to take over cannot.
        """
        start = self._start
        structlog.contextvars.bind_contextvars(worker=start.number)
        _configure_logs(start.reloaded)
        async with open_http_server(
            start.config, WorkerContext(start.number, start.earlier_metrics, self._query_peers)
        ) as http_server:
            http_server.gateway.reload(start.reloaded)
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await http_server.accept(self._listeners[start.number])
            log.info("started")
            self._channel.send(Serving())
            stopping = asyncio.create_task(stop.wait(), name="stop")
            message_loop = asyncio.create_task(self._handle_messages(http_server), name="orders")
            reports = asyncio.create_task(self._report_metrics(http_server), name="counts")
            await asyncio.wait([stopping, message_loop], return_when=asyncio.FIRST_COMPLETED)
            self._start_draining()
            log.info("stopping", in_flight=len(http_server.gateway.proxy.in_flight))
        self._channel.send(MetricsReport(http_server.gateway.metrics.collect()))
        for task in (stopping, message_loop, reports):
            task.cancel()
        if message_loop.done():
            message_loop.result()
        log.info("stopped")

    def _start_draining(self) -> None:
        self._is_draining = True
        self._channel.send(Draining())
        # As long as anybody has a socket open, callers who come to it are made to wait and not refused.
        for number, listeners in enumerate(self._listeners):
            if number != self._start.number:
                close_all(listeners)

    async def _handle_messages(self, http_server: HttpServer) -> None:
        """Do what the supervisor says for as long as it is there."""
        try:
            async for message in self._channel:
                await self._handle(message, http_server)
        finally:
            self._has_lost_supervisor = True
            for query_id in list(self._pending_queries):
                self._resolve_query(query_id, ())

    async def _handle(self, message: Message, http_server: HttpServer) -> None:
        match message:
            case Reload(config):
                http_server.gateway.reload(config)
                _configure_logs(config)
                log.info("configuration reloaded", providers=list(config.providers))
            case CoverSlot(number) if not self._is_draining:
                copies = [listener.dup() for listener in self._listeners[number]]
                self._covered_slots[number] = await http_server.accept(copies)
            case UncoverSlot(number):
                for site in self._covered_slots.pop(number, ()):
                    await site.stop()
            case ReportMetrics():
                self._channel.send(MetricsReport(http_server.gateway.metrics.collect()))
            case PeerMetrics(query_id, figures):
                self._resolve_query(query_id, figures)

    async def _report_metrics(self, http_server: HttpServer) -> None:
        while True:
            self._channel.send(MetricsReport(http_server.gateway.metrics.collect()))
            await self._channel.flush()
            await asyncio.sleep(REPORT_INTERVAL_SECONDS)

    async def _query_peers(self) -> Sequence[MetricFamilies]:
        if self._has_lost_supervisor:
            return ()
        query_id = next(self._query_ids)
        answer: asyncio.Future[Sequence[MetricFamilies]] = asyncio.get_running_loop().create_future()
        self._pending_queries[query_id] = answer
        self._channel.send(QueryPeers(query_id))
        try:
            return await answer
        finally:
            del self._pending_queries[query_id]

    def _resolve_query(self, query_id: int, figures: Sequence[MetricFamilies]) -> None:
        answer = self._pending_queries.get(query_id)
        if answer is not None and not answer.done():
            answer.set_result(figures)


def _configure_logs(config: Config) -> None:
    configure_logs(config.logging.level, config.logging.format)


if __name__ == "__main__":
    main()
