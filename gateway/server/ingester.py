"""The ingester's process: stores what the gateway has journaled, until the gateway stops it or is gone.

Usage: python -m gateway.server.ingester DESCRIPTOR, the inherited descriptor of its end of the channel.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from gateway.errors import GatewayError
from gateway.models.process_metrics import MetricFamilies, MetricFamily, sum_families
from gateway.recording.access_log import AccessLog
from gateway.recording.ingester import Ingester, Observer, QuotaAccounting
from gateway.recording.interpreter import CostCalculator
from gateway.recording.leftovers import Leftovers
from gateway.recording.request_metrics import RequestMetrics
from gateway.server import channel as messages
from gateway.server.channel import Channel, Message, open_channel
from gateway.server.log_output import configure_log_output
from gateway.store import journal_root, local_path, open_store
from gateway.store.base import Store
from gateway.store.journal_files import GatewayJournal
from gateway.wire.content_encoding import decode_or_raw
from gateway.wire.pricing import PriceTable

log = structlog.get_logger("gateway.recording")

# How long what is journaled may take at the end; the rest is for the next start.
FINISH_SECONDS = 20.0

RETRY_SECONDS = 1.0

# The gateway's own requests come first where processors are short.
NICENESS = 5


def main() -> None:
    """Ingest, and exit: with 0 if nothing went wrong."""
    # For the gateway alone, even where a terminal or service manager signals all processes: workers still append.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with asyncio.Runner() as runner:
        code = runner.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
    sys.exit(code)


async def _serve(end: socket.socket) -> int:
    channel = await open_channel(end)
    try:
        start = await channel.receive()
        if start is not None:
            assert isinstance(start, messages.StartIngester)
            await IngesterProcess(channel, start).run()
    except (GatewayError, OSError) as error:
        channel.send(messages.Failed(error))
        return 1
    finally:
        await channel.close()
    return 0


class IngesterProcess:
    """Ingests, and handles the gateway's messages."""

    def __init__(self, channel: Channel, start: messages.StartIngester) -> None:
        self._channel = channel
        self._settings = start.settings
        self._earlier_metrics = start.earlier_metrics
        self._metrics = RequestMetrics()
        self._access_log = AccessLog(start.settings.access_log)
        self._ingester: Ingester | None = None
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Ingest until the gateway says that all is journaled, or none of its processes is left."""
        settings = self._settings
        structlog.contextvars.bind_contextvars(process="ingester")
        configure_log_output(settings.log_level, is_human=settings.has_human_log)
        async with AsyncExitStack() as stack:
            journal = GatewayJournal(settings.journal)
            stack.callback(journal.close)
            listening = asyncio.create_task(self._handle_messages(), name="messages")
            stack.callback(listening.cancel)
            store = await self._open_store(journal)
            if store is None:
                return
            stack.push_async_callback(store.close)
            self._channel.send(messages.Serving())
            await self._ingest(store, journal, stack)
            self._send_metrics()
            await self._channel.flush()

    async def _open_store(self, journal: GatewayJournal) -> Store | None:
        while not self._stop.is_set() and journal.is_alive():
            try:
                return await open_store(self._settings.store_url, decode_or_raw)
            except GatewayError as error:
                journal.state.failing_since_us = journal.state.failing_since_us or 1
                log.error("the store cannot be opened; rows wait in the journal", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await self._stop.wait()
        return None

    async def _ingest(self, store: Store, journal: GatewayJournal, stack: AsyncExitStack) -> None:
        settings = self._settings
        urls = settings.base_urls
        pricing = CostCalculator(
            # Log imports may call a provider by its host.
            PriceTable(settings.rates, settings.prices_as),
            lambda name: urls.get(name, f"https://{name}"),
        )
        root = journal_root(settings.store_url, Path(settings.local_dir))
        quotas = QuotaAccounting(store, settings.key_limits)
        observers = [self._metrics.observe, self._access_log.observe, *self._open_reporter(stack)]
        ingester = self._ingester = Ingester(
            store,
            root,
            journal,
            pricing,
            observers,
            quotas,
            lambda: self._channel.send(messages.UsageStored()),
        )
        leftovers = Leftovers(store, local_path(settings.store_url, Path(settings.local_dir)), pricing)
        taking_in = asyncio.create_task(leftovers.take_in(), name="leftovers")
        stack.callback(taking_in.cancel)
        running = asyncio.create_task(ingester.run(), name="ingester")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        ingester.finish()
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await running
        except TimeoutError:
            log.warning("rows stay in the journal for the next start")

    def _open_reporter(self, stack: AsyncExitStack) -> list[Observer]:
        if self._settings.telemetry is None:
            return []
        # Its packages are large.
        from gateway.telemetry.reporter import open_reporter

        reporter = open_reporter(**self._settings.telemetry)
        stack.push_async_callback(asyncio.to_thread, reporter.close)
        return [reporter.observe]

    async def _handle_messages(self) -> None:
        async for message in self._channel:
            self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case messages.ReportMetrics():
                self._send_metrics()
            case messages.FinishIngester():
                self._stop.set()
            case messages.ReloadIngester(settings):
                self._access_log.mode = settings.access_log
                configure_log_output(settings.log_level, is_human=settings.has_human_log)

    def _send_metrics(self) -> None:
        own = {**self._metrics.collect(), **self._counts()}
        self._channel.send(messages.MetricsReport(sum_families([self._earlier_metrics, own])))

    def _counts(self) -> MetricFamilies:
        ingester = self._ingester
        counts = {
            "gateway_journal_records_damaged": (
                "Records of the journal that were damaged and passed over.",
                0 if ingester is None else ingester.damaged,
            ),
            "gateway_journal_rows_rejected": (
                "Rows that the store does not take, kept in a file of the journal.",
                0 if ingester is None else ingester.rejected,
            ),
        }
        return {
            name: MetricFamily("counter", description, {(f"{name}_total", ()): number})
            for name, (description, number) in counts.items()
        }


if __name__ == "__main__":
    main()
