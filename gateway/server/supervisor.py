"""Supervisor: starts, watches, replaces, reloads and stops the worker processes of one port."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway import __version__
from gateway.config.models import Config
from gateway.errors import GatewayError
from gateway.models.process_metrics import MetricFamilies, without_gauges
from gateway.runtime import build_runtime
from gateway.server import channel as messages
from gateway.server import child_process
from gateway.server.channel import Channel, Message, open_channel
from gateway.server.child_process import ChildProcess, RestartBackoff, exit_reason, flatten
from gateway.server.ingestion import Ingestion, open_ingestion
from gateway.server.listeners import Listeners, bind_per_worker, close_all, listener_url
from gateway.server.process import install_signal_handlers

log = structlog.get_logger("gateway.server")

MODULE = "gateway.server.worker"

# A worker that takes longer to report is counted with its latest report.
REPORT_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """Why a worker ended, and after how long."""

    error: Exception
    uptime_seconds: float


class WorkerSlot:
    """A place for one worker at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_serving = False
        self._metrics: MetricFamilies = {}
        self._metrics_received = asyncio.Event()
        self._channel: Channel | None = None
        self._process: ChildProcess | None = None

    @property
    def metrics(self) -> MetricFamilies:
        """The latest metrics of the worker; without one, what its predecessors counted."""
        return self._metrics if self.is_serving else without_gauges(self._metrics)

    async def run_worker(
        self,
        make_start: Callable[[], messages.Start],
        descriptors: Sequence[Sequence[int]],
        on_message: Callable[[WorkerSlot, Message], None],
    ) -> WorkerExit:
        """Run a worker, which inherits the descriptors, to its end. Raises OSError where none can be started."""
        started_at = time.monotonic()
        process, end = child_process.spawn_process(MODULE, flatten(descriptors))
        self._process = process
        channel = self._channel = await open_channel(end)
        channel.send(make_start())
        error: Exception | None = None
        async for message in channel:
            match message:
                case messages.Serving():
                    self.is_serving = True
                case messages.Draining():
                    self.is_serving = False
                case messages.MetricsReport(metrics):
                    self._metrics = metrics
                    self._metrics_received.set()
                case messages.Failed(reason):
                    error = reason
            on_message(self, message)
        self.is_serving = False
        self._metrics_received.set()
        # It may have died without a message.
        on_message(self, messages.Draining())
        code = await asyncio.to_thread(process.wait)
        await channel.close()
        return WorkerExit(error or GatewayError(exit_reason("a worker", code)), time.monotonic() - started_at)

    def send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    async def refresh_metrics(self) -> None:
        if self.is_serving:
            self._metrics_received.clear()
            self.send(messages.ReportMetrics())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._metrics_received.wait(), REPORT_TIMEOUT_SECONDS)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()


async def supervise(config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]) -> None:
    """Serve with several processes; see `gateway.server.run.run`."""
    server = config.server
    async with open_ingestion(config) as (journal, ingestion):
        listeners = bind_per_worker(server.host, server.port, server.workers)
        supervisor = Supervisor(config, listeners, journal.folder, ingestion)
        stop = install_signal_handlers(config, reload, supervisor.reload)
        try:
            await supervisor.wait_until(supervisor.has_started, stop)
            if not stop.is_set():
                await ingestion.wait_until_ready()
                log.info("started", url=supervisor.url, version=__version__, workers=server.workers)
                on_ready(supervisor.url)
                await supervisor.wait_until(stop)
            log.info("stopping", drain_seconds=server.drain_seconds)
        finally:
            await supervisor.shut_down()
    log.info("stopped")


class Supervisor:
    """The worker slots of a server, with the sockets of each; a worker that dies is replaced."""

    def __init__(
        self, config: Config, listeners: Sequence[Listeners], journal: Path, ingestion: Ingestion
    ) -> None:
        self.url = listener_url(config.server.host, listeners[0])
        # Set once all slots have served at the same time.
        self.has_started = asyncio.Event()
        self._config = self._reloaded = config
        # Kept open here, so that connections to a slot without a worker wait until another worker covers it.
        self._listeners = listeners
        self._journal = journal
        self._ingestion = ingestion
        ingestion.on_usage = lambda: self._send_to(self._slots, messages.UsageStored())
        self._slots = [WorkerSlot(number) for number in range(len(listeners))]
        self._vacant: set[int] = set()
        self._is_shutting_down = asyncio.Event()
        self._replies: set[asyncio.Task[None]] = set()
        self._tasks = [
            asyncio.create_task(self._keep_running(slot), name=f"worker {slot.number}")
            for slot in self._slots
        ]

    async def wait_until(self, *events: asyncio.Event) -> None:
        """Wait for one of these events. Raises why a worker ended before all had served."""
        waits = [asyncio.create_task(event.wait(), name="event") for event in events]
        done, _ = await asyncio.wait([*waits, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for task in done:
            task.result()

    def reload(self, config: Config) -> None:
        """Have all workers, present and future, use a configuration."""
        # Raises where it cannot be used; nothing has changed then.
        build_runtime(config)
        self._reloaded = config
        self._ingestion.reload(config)
        self._send_to(self._slots, messages.Reload(config))
        log.info("configuration sent to the workers", providers=list(config.providers))

    async def shut_down(self) -> None:
        """Stop listening, and return when all workers have drained and ended."""
        self._is_shutting_down.set()
        for listeners in self._listeners:
            close_all(listeners)
        for slot in self._slots:
            slot.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_running(self, slot: WorkerSlot) -> None:
        backoff = RestartBackoff()
        while not self._is_shutting_down.is_set():
            worker_exit = await self._run_worker(slot)
            if self._is_shutting_down.is_set():
                return
            if not self.has_started.is_set():
                raise worker_exit.error
            pause = backoff.next_pause(worker_exit.uptime_seconds)
            reason = str(worker_exit.error)
            log.error("worker ended and is replaced", worker=slot.number, reason=reason, pause_seconds=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_shutting_down.wait(), pause)

    async def _run_worker(self, slot: WorkerSlot) -> WorkerExit:
        descriptors = [[listener.fileno() for listener in listeners] for listeners in self._listeners]

        def make_start() -> messages.Start:
            earlier = without_gauges(slot.metrics)
            return messages.Start(
                slot.number, self._config, self._reloaded, earlier, self._journal, descriptors
            )

        try:
            return await slot.run_worker(make_start, descriptors, self._on_message)
        except OSError as error:
            return WorkerExit(error, uptime_seconds=0.0)

    def _on_message(self, slot: WorkerSlot, message: Message) -> None:
        match message:
            case messages.Serving():
                self._on_serving(slot)
            case messages.Draining():
                self._on_draining(slot)
            case messages.QueryPeers(query_id):
                reply = asyncio.create_task(self._send_peer_metrics(slot, query_id), name="peer metrics")
                self._replies.add(reply)
                reply.add_done_callback(self._replies.discard)

    def _on_serving(self, slot: WorkerSlot) -> None:
        if slot.number in self._vacant:
            self._vacant.remove(slot.number)
            self._send_to(self._other_slots(slot), messages.UncoverSlot(slot.number))
        for number in self._vacant:
            slot.send(messages.CoverSlot(number))
        if all(each.is_serving for each in self._slots):
            self.has_started.set()

    def _on_draining(self, slot: WorkerSlot) -> None:
        is_running = self.has_started.is_set() and not self._is_shutting_down.is_set()
        if is_running and slot.number not in self._vacant:
            self._vacant.add(slot.number)
            self._send_to(self._other_slots(slot), messages.CoverSlot(slot.number))

    async def _send_peer_metrics(self, slot: WorkerSlot, query_id: int) -> None:
        other_slots = self._other_slots(slot)
        refreshing = asyncio.gather(*(other.refresh_metrics() for other in other_slots))
        ingested = await self._ingestion.metrics()
        await refreshing
        slot.send(messages.PeerMetrics(query_id, [ingested, *(other.metrics for other in other_slots)]))

    def _other_slots(self, slot: WorkerSlot) -> list[WorkerSlot]:
        return [other for other in self._slots if other is not slot]

    def _send_to(self, slots: Sequence[WorkerSlot], message: Message) -> None:
        for slot in slots:
            slot.send(message)
