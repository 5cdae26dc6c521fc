"""Wire a configuration into a running gateway: open its parts, start, reload and close them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway import __version__
from gateway.api.helicone import helicone_api
from gateway.api.native.routes import documentation_api, native_api
from gateway.api.operations import (
    KEY_LABEL,
    Gauges,
    LabelledGauge,
    LabelledGauges,
    Metrics,
    OtherProcesses,
    ReadinessCheck,
    no_other_processes,
    operations_api,
)
from gateway.api.pharia.feedback import pharia_api
from gateway.api.portkey.analytics import portkey_analytics_api
from gateway.api.portkey.exports import portkey_exporter
from gateway.api.portkey.feedback import DIALECT as PORTKEY
from gateway.api.portkey.feedback import portkey_feedback_api
from gateway.api.portkey.logs import portkey_logs_api
from gateway.auth.allowed_hosts import AllowedHosts
from gateway.auth.api_keys import REFRESH_SECONDS, ApiKeys, key_refresh_task
from gateway.auth.audit import SqlAudit
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import Quotas, RateLimiter
from gateway.config.models import Config, TokensConfig
from gateway.datasets.files import ExportFiles, ExportLinks
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.feedback.service import FeedbackService, OnStored
from gateway.models.principal import Principal
from gateway.models.process_metrics import MetricFamilies
from gateway.models.quota import QuotaStatus
from gateway.periodic import PeriodicTask
from gateway.proxy.handler import LogPolicy, Proxy
from gateway.proxy.in_flight import InFlight
from gateway.query.audit import AuditReader
from gateway.query.erasure import ErasureService
from gateway.query.groups import SessionReader, TraceReader
from gateway.query.metrics import MetricsReader, rollup_job
from gateway.query.requests import RequestReader, TextReader
from gateway.query.users import UserReader
from gateway.recording.access_log import AccessLog
from gateway.recording.interpreter import Interpreter
from gateway.recording.log_ingestion import LogIngestionService
from gateway.recording.recorder import ClaimRenewal, Overflow, Recorder
from gateway.recording.retention import RetentionJob
from gateway.routes import Dispatcher, Handler
from gateway.routing.plan import Router
from gateway.runtime import (
    build_base_url_lookup,
    build_feedback_export,
    build_key_scales,
    build_log_policy,
    build_payload_policy,
    build_price_table,
    build_reporter,
    build_router,
    configured_principals,
    max_loss_seconds,
)
from gateway.store import acquire_worker_slots, exports_path, has_journaled_rows, open_store
from gateway.store.base import Store
from gateway.store.journal import Journal
from gateway.telemetry import FeedbackExport, Reporter
from gateway.ui.feedback_form import feedback_form_api
from gateway.upstream.client import Upstream
from gateway.web.bodies import BodyLimits
from gateway.web.endpoint import Api
from gateway.web.middleware import AllowedOrigins, AuthMiddleware
from gateway.wire.content_encoding import decode_or_raw


def build_gauges(
    proxy: Proxy,
    recorder: Recorder,
    overflow: Overflow,
    retention_job: RetentionJob,
    upstream: Upstream,
) -> Gauges:
    """Return the figures that are read when they are asked for."""
    return {
        "gateway_workers": ("Processes that serve.", lambda: 1),
        "gateway_worker_starts_total": (
            "Processes that began to serve, those in the place of others included.", lambda: 1,
        ),
        "gateway_in_flight": ("Proxied requests that have not ended.", lambda: len(proxy.in_flight)),
        "gateway_event_loop_tasks": (
            "What the event loop has begun and not ended: callers' connections, and the gateway's own work.",
            lambda: len(asyncio.all_tasks()),
        ),
        "gateway_recorder_queue": ("Rows taken but not stored yet.", lambda: recorder.queued),
        "gateway_rows_spilled_total": (
            "Rows that went to the file beside the store because it failed.", lambda: overflow.rows_journaled,
        ),
        "gateway_rows_lost_total": ("Rows that could be stored nowhere.", lambda: overflow.rows_lost),
        "gateway_rows_expired_total": (
            "Rows that were deleted because they were too old.", lambda: retention_job.rows_expired,
        ),
        "gateway_upstream_connections": ("Connections to providers.", lambda: upstream.stats().open_connections),
        "gateway_upstream_idle_connections": (
            "Connections to providers that wait for a request.", lambda: upstream.stats().idle_connections,
        ),
        "gateway_upstream_waiting": (
            "Requests that wait for a connection to their provider.", lambda: upstream.stats().waiting_requests,
        ),
    }  # fmt: skip


def build_labelled_gauges(proxy: Proxy, keys: ApiKeys, quotas: Quotas) -> LabelledGauges:
    """Return the figures of single keys that are read when they are asked for."""

    def limit_values(measure: Callable[[QuotaStatus], int]) -> Iterator[tuple[tuple[str, ...], float]]:
        for caller in keys.sources():
            for usage in quotas.usage(caller):
                yield (caller.name or "", str(usage.limit)), usage.limit.to_units(measure(usage))

    return {
        "gateway_requests_refused_total": LabelledGauge(
            "Proxied requests that were refused before they had a provider.",
            (KEY_LABEL, "reason"),
            lambda: list(proxy.refused.items()),
        ),
        "gateway_key_limit_used": LabelledGauge(
            "What a key has used of a limit in the window at hand, in the limit's unit.",
            (KEY_LABEL, "limit"),
            lambda: limit_values(lambda usage: usage.used),
            is_shared=True,
        ),
        "gateway_key_limit_allowed": LabelledGauge(
            "How much of a limit a key may use in each window, in the limit's unit.",
            (KEY_LABEL, "limit"),
            lambda: limit_values(lambda usage: usage.limit.amount),
            is_shared=True,
        ),
    }


_RELOADABLE_FIELDS = frozenset(
    {
        "server.allowed_hosts",
        "server.allow_custom_hosts",
        "server.drain_seconds",
        "server.max_in_flight",
        "server.read_timeout",
        "storage.payloads",
        "storage.retention_days",
    }
)
"""What a reload takes over of these sections."""


class TokenAccess:
    """What giving feedback with tokens takes: the tokens, how often each may be used, and from whose pages."""

    def __init__(self, config: TokensConfig) -> None:
        self.tokens = FeedbackTokens()
        self.limits = RateLimiter(config.rate_limit)
        self.origins = AllowedOrigins()
        self.configure(config)

    def configure(self, config: TokensConfig) -> None:
        """Take over a configuration; what was counted so far stays counted."""
        self.tokens.replace_secrets([key.get_secret_value() for key in config.keys], config.ttl_seconds)
        self.limits.feedback_per_minute = config.rate_limit
        self.origins.origins = config.allow_origins


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Which of the processes that serve together one is.

    Args:
        number: its place among them, from 0.
        inherited: what was counted by those who had the place before.
        others: asks those in the other places for their figures.
    """

    number: int = 0
    earlier_metrics: MetricFamilies = field(default_factory=dict)
    read_peers: OtherProcesses = no_other_processes


@dataclass(slots=True)
class Gateway:
    """A gateway without its sockets: what runs in one process, and how it starts, reloads and stops."""

    config: Config
    inheriting: ClaimRenewal
    store: Store
    reporter: Reporter
    feedback_export: FeedbackExport | None
    keys: ApiKeys
    key_refresh: PeriodicTask
    quotas: Quotas
    token_access: TokenAccess
    metrics: Metrics
    upstream: Upstream
    interpreter: Interpreter
    overflow: Overflow
    recorder: Recorder
    rolling_up: PeriodicTask
    retention_job: RetentionJob
    log_book: LogIngestionService
    exports: ExportRunner
    proxy: Proxy
    access_log: AccessLog
    feedback: FeedbackService
    apis: list[Api]
    guard: AuthMiddleware
    own_requests: InFlight = field(default_factory=InFlight)
    """What is answered by the gateway itself."""

    async def start(self) -> None:
        """Bring back what an earlier process left, and begin to work."""
        await self.store.open_all()
        await self.keys.refresh()
        await self.quotas.start()
        await self.retention_job.create_partitions()
        self.interpreter.start()
        await self.overflow.start()
        self.recorder.start()
        self.inheriting.start()
        self.rolling_up.start()
        self.retention_job.start()
        self.exports.start()
        if self.feedback_export is not None:
            self.feedback_export.start()
        self.key_refresh.start(REFRESH_SECONDS)

    def dispatcher(self, apis: Handler) -> Dispatcher:
        """Return what answers every request, given what answers on the gateway's own paths."""
        return Dispatcher(apis, self.proxy, self.own_requests)

    async def drain(self, seconds: float) -> None:
        """Return once nothing is in flight; what takes longer than this is cancelled."""
        await asyncio.gather(self.proxy.in_flight.drain(seconds), self.own_requests.drain(seconds))

    def reload(self, config: Config) -> None:
        """Take over providers, keys, limits, payload policies, the rules of feedback and its tokens; requests in
        flight end as they began.

        Raises:
            GatewayError, OSError: the new configuration cannot be used; nothing has changed then.
        """
        router, policy, keys = _build_reloadable(config)
        self.proxy.router = router
        self.proxy.policy_of = policy
        self.proxy.in_flight.max_requests = config.server.max_in_flight
        self.proxy.body_timeout_seconds = config.server.read_timeout
        self.guard.bodies.body_timeout_seconds = config.server.read_timeout
        self.feedback.scales = build_key_scales(config)
        self.feedback.orphan_window_seconds = config.feedback.orphan_window
        self.log_book.policy_of = build_log_policy(config)
        self.access_log.mode = config.logging.access_mode
        self.keys.replace_configured(keys)
        self.keys.allowed_hosts = AllowedHosts(config.server.allowed_hosts)
        self.retention_job.set_days(config.storage.retention_days)
        self.token_access.configure(config.feedback.tokens)
        self.config = config

    async def close(self) -> None:
        """Store what was taken, and let go of everything. To be called when no request is in flight."""
        await self.key_refresh.close()
        await self.rolling_up.close()
        await self.retention_job.close()
        await self.exports.close()
        await self.recorder.close()
        await self.overflow.close()
        await self.interpreter.close()
        await self.quotas.close()
        await asyncio.to_thread(self.reporter.close)
        if self.feedback_export is not None:
            await self.feedback_export.close()
        await self.upstream.close()
        await self.store.close()
        await self.inheriting.close()


def restart_only_changes(started: Config, new: Config) -> list[str]:
    """Return the fields in which `new` differs from what was started, and which `Gateway.reload` leaves alone."""
    parts = (
        (section, name) for section in ("server", "storage") for name in getattr(new, section).model_dump()
    )
    fields = [
        f"{section}.{name}"
        for section, name in parts
        if getattr(getattr(started, section), name) != getattr(getattr(new, section), name)
    ]
    fields += [name for name in ("prices", "telemetry") if getattr(started, name) != getattr(new, name)]
    return [field for field in fields if field not in _RELOADABLE_FIELDS]


def check_reloadable(config: Config) -> None:
    """Raise what `Gateway.reload` would, where there is no gateway."""
    _build_reloadable(config)


def _build_reloadable(config: Config) -> tuple[Router, LogPolicy, dict[str, Principal]]:
    return build_router(config), build_payload_policy(config), configured_principals(config)


MAX_LARGE_BODIES = 4
"""How many of the longest bodies of the gateway's own API may be held at a time."""


async def open_gateway(config: Config, worker: WorkerContext) -> Gateway:
    """Open the store and join all parts.

    Raises:
        GatewayError: the store cannot be opened, or a provider cannot be used as it is configured.
        OSError: a provider's certificate file cannot be read.
    """
    router = build_router(config)
    reporter = build_reporter(config)
    url, local_dir = config.storage.url, Path(config.storage.local_dir)
    claim = await asyncio.to_thread(
        acquire_worker_slots, url, worker.number, config.server.workers, local_dir
    )
    store = await open_store(
        url, decode_or_raw, claim.numbers, config.storage.read_url, config.storage.question_timeout
    )
    keys = ApiKeys(
        configured_principals(config),
        store,
        is_disabled=config.server.auth == "off",
        allowed_hosts=AllowedHosts(config.server.allowed_hosts),
    )
    token_access = TokenAccess(config.feedback.tokens)
    upstream = Upstream()
    metrics = Metrics(worker.earlier_metrics, worker.read_peers)
    quotas = Quotas(store)
    access_log = AccessLog(config.logging.access_mode)
    observers = [metrics.observe, quotas.observe, reporter.observe, access_log.observe]
    interpreter = Interpreter(store, build_price_table(config), build_base_url_lookup(config), observers)
    spill, *left_behind = map(Journal, claim.journals)
    overflow = Overflow(spill, store, interpreter, left_behind)
    retention_job = RetentionJob(store, config.storage.retention_days)
    recorder = Recorder(store, interpreter, overflow, may_lose_seconds=max_loss_seconds(config))
    proxy = Proxy(
        keys=keys,
        tokens=token_access.tokens,
        quotas=quotas,
        router=router,
        upstream=upstream,
        recorder=recorder,
        policy_of=build_payload_policy(config),
        limit_bytes=config.storage.max_body_bytes,
        access_log=access_log,
        check_store=overflow.refuse_while_engaged if config.storage.on_store_failure == "refuse" else None,
        in_flight=InFlight(config.server.max_in_flight),
        body_timeout_seconds=config.server.read_timeout,
    )

    def url_of(provider: str, path: str) -> str | None:
        return proxy.router.url_of(provider, path)

    log_book = LogIngestionService(
        store, interpreter, build_log_policy(config), config.storage.max_body_bytes
    )
    exporter = portkey_exporter(url_of)
    files = ExportFiles(exports_path(url, local_dir))
    exports = ExportRunner(store, files, {PORTKEY: exporter})
    metrics.watch(
        build_gauges(proxy, recorder, overflow, retention_job, upstream),
        build_labelled_gauges(proxy, keys, quotas),
    )
    feedback_export = build_feedback_export(config, store)

    feedback_observers: list[OnStored] = [metrics.observe_feedback]
    if config.telemetry.otlp_endpoint is not None:
        feedback_observers.append(reporter.observe_feedback)
    if feedback_export is not None:
        feedback_observers.append(feedback_export.observe)
    feedback = FeedbackService(
        store,
        token_access.limits.check_rate,
        feedback_observers,
        orphan_window_seconds=config.feedback.orphan_window,
        scales=build_key_scales(config),
    )
    max_feedback_bytes = config.server.max_feedback_bytes
    bodies = BodyLimits(config.server.read_timeout, MAX_LARGE_BODIES * max_feedback_bytes)
    requests = RequestReader(store)

    native = native_api(
        requests=requests, traces=TraceReader(store), sessions=SessionReader(store), users=UserReader(store),
        metrics=MetricsReader(store), feedback=feedback, texts=TextReader(store), audit=AuditReader(store),
        eraser=ErasureService(store, lambda: has_journaled_rows(url, local_dir)), keys=keys, quotas=quotas,
        scale_of=feedback.scale_of, max_body_bytes=max_feedback_bytes,
    )  # fmt: skip
    apis = [
        native,
        portkey_feedback_api(feedback, feedback.scale_of, max_feedback_bytes),
        portkey_logs_api(
            log_book,
            requests,
            ExportJobs(store, files, exports, PORTKEY, exporter),
            ExportLinks(store),
            url_of,
            max_feedback_bytes,
        ),
        portkey_analytics_api(MetricsReader(store)),
        helicone_api(feedback, store.set_property, requests, max_feedback_bytes),
        pharia_api(feedback, max_feedback_bytes),
        feedback_form_api(feedback, token_access.tokens, requests),
        operations_api(_readiness_check(store, overflow), metrics),
    ]
    gateway = Gateway(
        config=config,
        inheriting=ClaimRenewal(claim, interpreter),
        store=store,
        reporter=reporter,
        feedback_export=feedback_export,
        keys=keys,
        key_refresh=key_refresh_task(keys),
        quotas=quotas,
        token_access=token_access,
        metrics=metrics,
        upstream=upstream,
        interpreter=interpreter,
        overflow=overflow,
        recorder=recorder,
        log_book=log_book,
        exports=exports,
        rolling_up=rollup_job(store),
        retention_job=retention_job,
        proxy=proxy,
        feedback=feedback,
        apis=[*apis, documentation_api(apis, __version__)],
        access_log=access_log,
        guard=AuthMiddleware(
            keys, token_access.tokens, token_access.origins, SqlAudit(store), access_log.answered, bodies
        ),
    )
    return gateway


def _readiness_check(store: Store, overflow: Overflow) -> ReadinessCheck:
    async def check() -> str | None:
        health = await store.check()
        if not health.is_writable:
            return health.reason or "the store takes no writes"
        return "rows wait in the file beside the store" if overflow.is_engaged else None

    return check
