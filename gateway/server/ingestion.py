"""Ingestion: the journal of this gateway, and the process that stores it, which is replaced when it dies."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from gateway import runtime
from gateway.config.models import Config, is_human_format
from gateway.models.process_metrics import MetricFamilies, without_gauges
from gateway.server import channel as messages
from gateway.server import child_process
from gateway.server.channel import Channel, open_channel
from gateway.server.child_process import RestartBackoff, Spawned, exit_reason
from gateway.store import journal_root
from gateway.store.journal_files import GatewayJournal

log = structlog.get_logger("gateway.server")

MODULE = "gateway.server.ingester"

# Rows wait meanwhile.
MAX_PAUSE_SECONDS = 5.0

READY_SECONDS = 5.0

# An ingester that takes longer to report is counted with its latest report.
REPORT_TIMEOUT_SECONDS = 1.0


class Ingestion:
    """Keeps an ingester running; `on_usage` is called when usage of a quota was stored."""

    def __init__(self, config: Config, journal: GatewayJournal) -> None:
        self.on_usage: Callable[[], None] = lambda: None
        self._config = config
        self._journal = journal
        self._settings = ingester_settings(config, journal)
        self._metrics: MetricFamilies = {}
        self._metrics_received = asyncio.Event()
        self._channel: Channel | None = None
        self._is_ready = asyncio.Event()
        self._is_stopping = asyncio.Event()
        # Started first, since it takes as long to start as the gateway itself.
        self._spawned: Spawned | None = child_process.spawn_process(MODULE)
        self._task = asyncio.create_task(self._keep_running(), name="ingestion")

    def reload(self, config: Config) -> None:
        """Have the ingester use a configuration, as far as it changes at run time."""
        self._settings = ingester_settings(config, self._journal)
        if self._channel is not None:
            self._channel.send(messages.ReloadIngester(self._settings))

    async def wait_until_ready(self) -> None:
        """Return once the ingester has begun, so that the first questions need not wait; at the latest soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await self._is_ready.wait()

    async def metrics(self) -> MetricFamilies:
        """Return what the ingester has counted."""
        if self._channel is not None:
            self._metrics_received.clear()
            self._channel.send(messages.ReportMetrics())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_TIMEOUT_SECONDS):
                    await self._metrics_received.wait()
        return self._metrics

    async def stop(self) -> None:
        """Return once everything is stored, or cannot be; nobody may append any more."""
        self._is_stopping.set()
        if self._channel is not None:
            self._channel.send(messages.FinishIngester())
        await self._task

    async def _keep_running(self) -> None:
        backoff = RestartBackoff(MAX_PAUSE_SECONDS)
        while not self._is_stopping.is_set():
            started_at = time.monotonic()
            reason = await self._run_process()
            if self._is_stopping.is_set():
                return
            pause = backoff.next_pause(time.monotonic() - started_at)
            log.error("ingester ended and is replaced", reason=reason, pause_seconds=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._is_stopping.wait()

    async def _run_process(self) -> str:
        try:
            process, end = self._spawned or child_process.spawn_process(MODULE)
        except OSError as refusal:
            return str(refusal)
        self._spawned = None
        channel = await open_channel(end)
        channel.send(messages.StartIngester(self._settings, without_gauges(self._metrics)))
        self._channel = channel
        if self._is_stopping.is_set():
            channel.send(messages.FinishIngester())
        reason: str | None = None
        async for message in channel:
            match message:
                case messages.MetricsReport(metrics):
                    self._metrics = metrics
                    self._metrics_received.set()
                case messages.Serving():
                    self._is_ready.set()
                case messages.Failed(error):
                    reason = str(error)
                case messages.UsageStored():
                    self.on_usage()
        self._channel = None
        self._metrics_received.set()
        code = await asyncio.to_thread(process.wait)
        await channel.close()
        return reason or exit_reason("the ingester", code)


@asynccontextmanager
async def open_ingestion(config: Config) -> AsyncIterator[tuple[GatewayJournal, Ingestion]]:
    """Make the journal of a gateway and start its ingester; in the end wait until all is stored. Raises
    StoreUnavailable."""
    root = journal_root(config.storage.url, Path(config.storage.local_dir))
    journal = await asyncio.to_thread(GatewayJournal.create, root)
    try:
        ingestion = Ingestion(config, journal)
        try:
            yield journal, ingestion
        finally:
            await ingestion.stop()
    finally:
        if not journal.segments():
            journal.remove()
        journal.close()


def ingester_settings(config: Config, journal: GatewayJournal) -> messages.IngesterSettings:
    storage, otel = config.storage, config.telemetry
    telemetry = None
    if otel.otlp_endpoint is not None:
        telemetry = {
            "endpoint": otel.otlp_endpoint,
            "headers": dict(otel.headers),
            "service_name": otel.service_name,
            "has_messages": otel.payloads,
            "has_events": False,
        }
    return messages.IngesterSettings(
        store_url=storage.url,
        local_dir=storage.local_dir,
        journal=journal.folder,
        rates=runtime.configured_rates(config),
        prices_as=runtime.prices_as(config),
        base_urls={name: provider.base_url for name, provider in config.providers.items()},
        key_limits={key.name: key.limits for key in config.keys},
        log_level=config.logging.level,
        has_human_log=is_human_format(config.logging.format),
        access_log=config.logging.access_mode,
        telemetry=telemetry,
    )
