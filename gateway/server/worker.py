"""A worker process: serves until its supervisor stops it or is gone.

Usage: python -m gateway.server.worker DESCRIPTOR, the inherited descriptor of its end of the channel.
"""

import asyncio
import itertools
import signal
import socket
import sys
from collections.abc import Sequence

import structlog
import uvloop

from gateway.app import WorkerContext
from gateway.errors import GatewayError
from gateway.models.process_metrics import MetricFamilies
from gateway.server import channel as messages
from gateway.server.channel import Channel, Message, open_channel
from gateway.server.http_server import HttpServer, Sites, open_http_server
from gateway.server.listeners import close_all
from gateway.server.process import configure_logs
from gateway.store.journal_files import GatewayJournal

log = structlog.get_logger("gateway.server")

# What is counted after the last report is lost with a worker that is killed.
REPORT_INTERVAL_SECONDS = 1.0


def main() -> None:
    """Serve, and exit: with 0 if nothing went wrong."""
    # For the supervisor alone, even where a terminal or service manager signals the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(code)


async def _serve(end: socket.socket) -> int:
    channel = await open_channel(end)
    try:
        start = await channel.receive()
        if isinstance(start, messages.Start):
            await Worker(channel, start).serve()
    except (GatewayError, OSError) as error:
        channel.send(messages.Failed(error))
        return 1
    finally:
        await channel.close()
    return 0


class Worker:
    """Serves in one worker slot and handles the supervisor's messages."""

    def __init__(self, channel: Channel, start: messages.Start) -> None:
        self._channel = channel
        self._start = start
        self._listeners = [[socket.socket(fileno=one) for one in slot] for slot in start.listeners]
        self._covered_slots: dict[int, Sites] = {}
        self._pending_queries: dict[int, asyncio.Future[Sequence[MetricFamilies]]] = {}
        self._query_ids = itertools.count()
        self._is_draining = False
        self._has_lost_supervisor = False

    async def serve(self) -> None:
        """Serve until SIGTERM or until the supervisor is gone, then drain."""
        start = self._start
        structlog.contextvars.bind_contextvars(worker=start.number)
        configure_logs(start.reloaded.logging)
        journal = GatewayJournal(start.journal)
        journal.join()
        context = WorkerContext(journal, start.number, start.earlier_metrics, self._query_peers)
        async with open_http_server(start.config, context) as http_server:
            http_server.gateway.reload(start.reloaded)
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await http_server.accept(self._listeners[start.number])
            log.info("started")
            self._channel.send(messages.Serving())
            stopping = asyncio.create_task(stop.wait(), name="stop")
            message_loop = asyncio.create_task(self._handle_messages(http_server), name="messages")
            reports = asyncio.create_task(self._report_metrics(http_server), name="metrics reports")
            await asyncio.wait([stopping, message_loop], return_when=asyncio.FIRST_COMPLETED)
            self._start_draining()
            log.info("stopping", in_flight=len(http_server.gateway.proxy.in_flight))
        self._send_metrics(http_server)
        for task in (stopping, message_loop, reports):
            task.cancel()
        if message_loop.done():
            message_loop.result()
        log.info("stopped")

    def _start_draining(self) -> None:
        self._is_draining = True
        self._channel.send(messages.Draining())
        # Connections to a socket that is still open in some process wait; they are refused once it is closed
        # everywhere.
        for number, listeners in enumerate(self._listeners):
            if number != self._start.number:
                close_all(listeners)

    async def _handle_messages(self, http_server: HttpServer) -> None:
        try:
            async for message in self._channel:
                await self._handle(message, http_server)
        finally:
            self._has_lost_supervisor = True
            for query_id in list(self._pending_queries):
                self._resolve_query(query_id, ())

    async def _handle(self, message: Message, http_server: HttpServer) -> None:
        match message:
            case messages.Reload(config):
                http_server.gateway.reload(config)
                configure_logs(config.logging)
                log.info("configuration reloaded", providers=list(config.providers))
            case messages.CoverSlot(number) if not self._is_draining:
                copies = [listener.dup() for listener in self._listeners[number]]
                self._covered_slots[number] = await http_server.accept(copies)
            case messages.UncoverSlot(number):
                for site in self._covered_slots.pop(number, ()):
                    await site.stop()
            case messages.ReportMetrics():
                self._send_metrics(http_server)
            case messages.UsageStored():
                http_server.gateway.quotas.on_usage_stored()
            case messages.PeerMetrics(query_id, metrics):
                self._resolve_query(query_id, metrics)

    def _send_metrics(self, http_server: HttpServer) -> None:
        self._channel.send(messages.MetricsReport(http_server.gateway.metrics.collect()))

    async def _report_metrics(self, http_server: HttpServer) -> None:
        while True:
            self._send_metrics(http_server)
            await self._channel.flush()
            await asyncio.sleep(REPORT_INTERVAL_SECONDS)

    async def _query_peers(self) -> Sequence[MetricFamilies]:
        if self._has_lost_supervisor:
            return ()
        query_id = next(self._query_ids)
        answer: asyncio.Future[Sequence[MetricFamilies]] = asyncio.get_running_loop().create_future()
        self._pending_queries[query_id] = answer
        self._channel.send(messages.QueryPeers(query_id))
        try:
            return await answer
        finally:
            del self._pending_queries[query_id]

    def _resolve_query(self, query_id: int, metrics: Sequence[MetricFamilies]) -> None:
        answer = self._pending_queries.get(query_id)
        if answer is not None and not answer.done():
            answer.set_result(metrics)


if __name__ == "__main__":
    main()
