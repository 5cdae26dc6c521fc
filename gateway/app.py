"""Wire a configuration into a running gateway: open its parts, reload and close them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gateway import __version__, runtime
from gateway.api import operations
from gateway.api.helicone import helicone_api
from gateway.api.native import tail as native_tail
from gateway.api.native.routes import native_api
from gateway.api.pharia.feedback import pharia_api
from gateway.api.portkey import analytics, exports, logs
from gateway.api.portkey import feedback as portkey_feedback
from gateway.auth.api_keys import REFRESH_SECONDS, ApiKeys, key_refresh_task
from gateway.auth.audit import AuditLog
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import Quotas, RateLimiter
from gateway.auth.sign_ins import SignIns
from gateway.config.models import Config
from gateway.config.shown_config import show_config
from gateway.datasets import files, jobs, runner
from gateway.feedback.service import FeedbackService, OnStored
from gateway.models.addresses import database_name
from gateway.models.process_metrics import MetricFamilies
from gateway.models.quota import QuotaStatus
from gateway.proxy.handler import Proxy
from gateway.proxy.in_flight import InFlight
from gateway.query.metrics import rollup_job
from gateway.query.readers import Readers
from gateway.query.receipt import ReceiptReader
from gateway.query.tail import RequestTail
from gateway.recording.access_log import AccessLog
from gateway.recording.interpreter import Interpreter
from gateway.recording.log_ingestion import LogIngestionService
from gateway.recording.recorder import Overflow, Recorder, WorkerSlotRenewal
from gateway.recording.retention import RetentionJob
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.routes import Dispatcher, Handler
from gateway.runtime import Runtime
from gateway.store import acquire_worker_slots, exports_path, has_journaled_rows, open_store
from gateway.store.base import Store
from gateway.store.journal import Journal
from gateway.ui.documentation import documentation_api
from gateway.ui.feedback_form import FormPages, feedback_form_api
from gateway.ui.routes import ui_api
from gateway.ui.settings import GatewayStatus, ProviderStatus
from gateway.ui.widget import widget_api
from gateway.upstream.client import Upstream
from gateway.web.bodies import BodyLimits
from gateway.web.endpoint import Api
from gateway.web.middleware import AllowedOrigins, AuthMiddleware
from gateway.web.openapi import OpenApi
from gateway.wire.content_encoding import decode_or_raw

# How many of the longest bodies of the gateway's own API may be held in memory at a time.
MAX_LARGE_BODIES = 4

# How long requests may be lost for if the process is killed; docs/configuration.md promises 50 ms.
_LOSS_SECONDS = {"commit": 0.0, "interval": 0.05}


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """A worker's slot, the metrics of its predecessors in it, and how to read those of the other workers."""

    number: int = 0
    earlier_metrics: MetricFamilies = field(default_factory=dict)
    read_peers: operations.OtherProcesses = operations.no_other_processes


@dataclass(slots=True)
class Gateway:
    """A running gateway without its sockets; `use` gives its parts what a runtime has for them."""

    runtime: Runtime
    use: Callable[[Runtime], None]
    keys: ApiKeys
    metrics: operations.Metrics
    proxy: Proxy
    retention_job: RetentionJob
    apis: Sequence[Api]
    middleware: AuthMiddleware
    tail: RequestTail
    own_requests: InFlight = field(default_factory=InFlight)

    def dispatcher(self, apis: Handler) -> Dispatcher:
        """Return the handler of every request, given the one of the gateway's own paths."""
        return Dispatcher(apis, self.proxy, self.own_requests)

    async def drain(self, seconds: float) -> None:
        """Return once nothing is in flight; cancel what takes longer than `seconds`."""
        # Its listeners stay for as long as they may.
        self.tail.close()
        await asyncio.gather(self.proxy.in_flight.drain(seconds), self.own_requests.drain(seconds))

    def reload(self, config: Config) -> None:
        """Replace the runtime; requests in flight end as they began.

        Raises:
            GatewayError, OSError: the new configuration cannot be used; nothing has changed then.
        """
        self.runtime = runtime.build_runtime(config)
        self.use(self.runtime)
        # A shorter retention shall not wait for the next round.
        self.retention_job.run_now()


class _Part(Protocol):
    def start(self) -> Awaitable[None] | None: ...

    async def close(self) -> None: ...


async def _run(stack: AsyncExitStack, *parts: _Part) -> None:
    for part in parts:
        stack.push_async_callback(part.close)
        if (starting := part.start()) is not None:
            await starting


@asynccontextmanager
async def open_gateway(config: Config, worker: WorkerContext) -> AsyncIterator[Gateway]:
    """Open all parts, and close them in the opposite order once no request is in flight.

    Raises:
        GatewayError: the store or a provider cannot be used as configured.
        OSError: a provider's certificate file cannot be read.
    """
    first = runtime.build_runtime(config)
    storage = config.storage
    url, local_dir = storage.url, Path(storage.local_dir)

    async with AsyncExitStack() as stack:
        workers = config.server.workers
        slots = await asyncio.to_thread(acquire_worker_slots, url, worker.number, workers, local_dir)
        # Renewed until the store is closed, or another process would take the slots over meanwhile.
        renewal = WorkerSlotRenewal(slots, lambda: interpreter.expect_leftovers())
        stack.push_async_callback(renewal.close)
        store = await open_store(
            url, decode_or_raw, slots.numbers, storage.read_url, storage.question_timeout
        )
        stack.push_async_callback(store.close)
        await store.open_all()

        keys = ApiKeys(
            first.principals,
            store,
            is_disabled=config.server.auth == "off",
            allowed_hosts=first.allowed_hosts,
        )
        tokens = FeedbackTokens(first.token_keys)
        access_log = AccessLog(config.logging.access_mode)
        metrics = operations.Metrics(worker.earlier_metrics, worker.read_peers)

        upstream = Upstream()
        stack.push_async_callback(upstream.close)
        if (feedback_export := runtime.build_feedback_export(config, store)) is not None:
            await _run(stack, feedback_export)
        reporter = runtime.build_reporter(config)
        stack.push_async_callback(asyncio.to_thread, reporter.close)

        quotas = Quotas(store)
        observers = [metrics.observe, quotas.observe, reporter.observe, access_log.observe]
        prices, base_urls = runtime.build_price_table(config), runtime.build_base_url_lookup(config)
        interpreter = Interpreter(store, prices, base_urls, observers)
        own_journal, *abandoned = map(Journal, slots.journals)
        overflow = Overflow(own_journal, store, interpreter, abandoned)
        recorder = Recorder(store, interpreter, overflow, may_lose_seconds=_LOSS_SECONDS[storage.durability])
        retention_job = RetentionJob(store, storage.retention_days)
        proxy = Proxy(
            keys=keys,
            tokens=tokens,
            quotas=quotas,
            settings=first.proxy,
            upstream=upstream,
            recorder=recorder,
            limit_bytes=storage.max_body_bytes,
            access_log=access_log,
            check_store=overflow.refuse_while_engaged if storage.on_store_failure == "refuse" else None,
        )

        on_stored: list[OnStored] = [metrics.observe_feedback]
        if config.telemetry.otlp_endpoint is not None:
            on_stored.append(reporter.observe_feedback)
        if feedback_export is not None:
            on_stored.append(feedback_export.observe)
        rate_limiter = RateLimiter(config.feedback.tokens.rate_limit)
        feedback = FeedbackService(store, rate_limiter.check_rate, on_stored, first.feedback)
        log_ingestion = LogIngestionService(store, interpreter, first.log_policy, storage.max_body_bytes)
        url_lookup, max_body_bytes = _url_lookup(proxy), config.server.max_feedback_bytes
        dialect, exporter = portkey_feedback.DIALECT, exports.portkey_exporter(url_lookup)
        export_files = files.ExportFiles(exports_path(url, local_dir))
        export_runner = runner.ExportRunner(store, export_files, {dialect: exporter})
        export_jobs = jobs.ExportJobs(store, export_files, export_runner, dialect, exporter)
        links = files.ExportLinks(store)
        is_ready = _readiness_check(store, overflow)
        status = _StatusReader(config, is_ready, recorder, overflow)
        tail = RequestTail(store, native_tail.render_row)
        readers = Readers.over(
            store,
            ReceiptReader(prices, base_urls),
            storage.question_timeout,
            lambda: has_journaled_rows(url, local_dir),
        )
        form_pages = FormPages(config.feedback.tokens.app_name)
        openapi = OpenApi(lambda: [api for api in apis if api.is_documented], __version__)
        sign_ins = SignIns(keys, store)
        apis = [
            *_build_apis(
                config, store, readers, tail, feedback, sign_ins, quotas, tokens, status, form_pages
            ),
            logs.portkey_logs_api(
                log_ingestion, readers.requests, export_jobs, links, url_lookup, max_body_bytes
            ),
            operations.operations_api(is_ready, metrics, openapi),
            documentation_api(sign_ins, openapi),
        ]
        origins = AllowedOrigins(config.feedback.tokens.allow_origins)
        limits = BodyLimits(config.server.read_timeout, MAX_LARGE_BODIES * max_body_bytes)
        middleware = AuthMiddleware(keys, tokens, origins, AuditLog(store), access_log.answered, limits)

        def use(new: Runtime) -> None:
            keys.configured, keys.allowed_hosts = new.principals, new.allowed_hosts
            tokens.keys = new.token_keys
            proxy.settings = new.proxy
            feedback.settings = new.feedback
            log_ingestion.policy_of = new.log_policy
            access_log.mode = new.config.logging.access_mode
            origins.allowed = new.config.feedback.tokens.allow_origins
            rate_limiter.feedback_per_minute = new.config.feedback.tokens.rate_limit
            limits.body_timeout_seconds = new.config.server.read_timeout
            status.config = new.config
            form_pages.app_name = new.config.feedback.tokens.app_name
            retention_job.days = new.config.storage.retention_days

        gateway = Gateway(first, use, keys, metrics, proxy, retention_job, apis, middleware, tail)
        metrics.watch(
            _build_gauges(proxy, recorder, overflow, retention_job, upstream),
            _build_labelled_gauges(proxy, keys, quotas),
        )

        await keys.refresh()
        # Before anything is stored, so that today has its partition.
        await retention_job.create_partitions()
        await _run(stack, quotas, interpreter, overflow, recorder)
        renewal.start()
        await _run(stack, export_runner, retention_job, rollup_job(store))
        key_refresh = key_refresh_task(keys)
        stack.push_async_callback(key_refresh.close)
        key_refresh.start(REFRESH_SECONDS)
        yield gateway


def _build_apis(
    config: Config,
    store: Store,
    readers: Readers,
    tail: RequestTail,
    feedback: FeedbackService,
    sign_ins: SignIns,
    quotas: Quotas,
    tokens: FeedbackTokens,
    status: Callable[[], Awaitable[GatewayStatus]],
    form_pages: FormPages,
) -> list[Api]:
    max_body_bytes = config.server.max_feedback_bytes
    queue, agreement = ReviewQueue(store), AgreementReader(store)
    native = native_api(
        readers,
        feedback,
        tail,
        sign_ins.keys,
        quotas,
        feedback.scale_of,
        max_body_bytes,
        queue,
        agreement,
    )
    exports = [each for each in native.endpoints if each.method == "GET"]
    # The native API first, since the first one answers unknown paths.
    return [
        native,
        portkey_feedback.portkey_feedback_api(feedback, feedback.scale_of, max_body_bytes),
        analytics.portkey_analytics_api(readers.metrics),
        helicone_api(feedback, store.set_property, readers.requests, max_body_bytes),
        pharia_api(feedback, max_body_bytes),
        feedback_form_api(feedback, tokens, readers.requests, form_pages),
        widget_api(),
        ui_api(sign_ins, readers, queue, agreement, tail, feedback, quotas, status, exports),
    ]


def _url_lookup(proxy: Proxy) -> Callable[[str, str], str | None]:
    return lambda provider, path: proxy.settings.router.url_of(provider, path)


def _readiness_check(store: Store, overflow: Overflow) -> operations.ReadinessCheck:
    async def check() -> str | None:
        health = await store.check()
        if not health.is_writable:
            return health.reason or "the store takes no writes"
        return "rows wait in the file beside the store" if overflow.is_engaged else None

    return check


@dataclass(slots=True)
class _StatusReader:
    """Tells the page of settings how the gateway runs."""

    config: Config
    is_ready: operations.ReadinessCheck
    recorder: Recorder
    overflow: Overflow

    async def __call__(self) -> GatewayStatus:
        config = self.config
        storage, days = config.storage, config.storage.retention_days
        providers = (
            ProviderStatus(name, each.base_url, each.api_key is not None, name == config.default_provider)
            for name, each in config.providers.items()
        )
        shown = {
            "database": database_name(storage.url),
            "kept for": "ever" if days is None else f"{days} days",
            "headers and bodies": storage.payloads.value,
            "a row is stored": "before its answer ends" if storage.durability == "commit" else "within 50 ms",
            "rows that wait": f"{self.recorder.queued:,}",
            "rows written to the file beside the store": f"{self.overflow.rows_journaled:,}",
            "rows lost": f"{self.overflow.rows_lost:,}",
        }
        return GatewayStatus(tuple(providers), shown, await self.is_ready(), show_config(config))


def _build_gauges(
    proxy: Proxy, recorder: Recorder, overflow: Overflow, retention: RetentionJob, upstream: Upstream
) -> operations.Gauges:
    pool = upstream.stats
    return {
        "gateway_workers": ("Worker processes.", lambda: 1),
        "gateway_worker_starts_total": ("Worker processes started, replacements included.", lambda: 1),
        "gateway_in_flight": ("Proxied requests in flight.", lambda: len(proxy.in_flight)),
        "gateway_event_loop_tasks": ("Connections and background work.", lambda: len(asyncio.all_tasks())),
        "gateway_recorder_queue": ("Rows that are not stored yet.", lambda: recorder.queued),
        "gateway_rows_spilled_total": (
            "Rows written to the file beside the store.",
            lambda: overflow.rows_journaled,
        ),
        "gateway_rows_lost_total": ("Rows that could not be stored anywhere.", lambda: overflow.rows_lost),
        "gateway_rows_expired_total": ("Rows deleted because of their age.", lambda: retention.rows_expired),
        "gateway_upstream_connections": ("Connections to providers.", lambda: pool().open_connections),
        "gateway_upstream_idle_connections": (
            "Idle connections to providers.",
            lambda: pool().idle_connections,
        ),
        "gateway_upstream_waiting": (
            "Requests that wait for a connection.",
            lambda: pool().waiting_requests,
        ),
    }


def _build_labelled_gauges(proxy: Proxy, keys: ApiKeys, quotas: Quotas) -> operations.LabelledGauges:
    def limit_values(measure: Callable[[QuotaStatus], int]) -> Iterator[tuple[tuple[str, ...], float]]:
        for principal in keys.sources():
            for usage in quotas.usage(principal):
                value = usage.limit.to_units(measure(usage))
                yield (principal.name or "", str(usage.limit)), value

    by_limit = (operations.KEY_LABEL, "limit")
    return {
        "gateway_requests_refused_total": operations.LabelledGauge(
            "Proxied requests refused before a provider was chosen.",
            (operations.KEY_LABEL, "reason"),
            lambda: list(proxy.refused.items()),
        ),
        "gateway_key_limit_used": operations.LabelledGauge(
            "Used of a key's limit in the current window, in the limit's unit.",
            by_limit,
            lambda: limit_values(lambda usage: usage.used),
            is_shared=True,
        ),
        "gateway_key_limit_allowed": operations.LabelledGauge(
            "A key's limit in each window, in the limit's unit.",
            by_limit,
            lambda: limit_values(lambda usage: usage.limit.amount),
            is_shared=True,
        ),
    }
