"""Wire a configuration into a running gateway: open its parts, reload and close them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from gateway import __version__, runtime
from gateway.alerts.automation import AutomationServices
from gateway.alerts.definition import AlertService
from gateway.alerts.delivery import WebhookRunner, WebhookSender
from gateway.alerts.rules import RuleRunner, RuleService
from gateway.alerts.scheduler import AlertScheduler
from gateway.alerts.webhooks import WebhookService
from gateway.api import operations
from gateway.api.helicone import helicone_api
from gateway.api.langfuse.scores import langfuse_api
from gateway.api.langsmith import langsmith_api
from gateway.api.mlflow.assessments import mlflow_api
from gateway.api.native import tail as native_tail
from gateway.api.native.routes import native_api
from gateway.api.pharia.feedback import pharia_api
from gateway.api.portkey import analytics, exports, logs
from gateway.api.portkey import feedback as portkey_feedback
from gateway.api.tensorzero.feedback import tensorzero_api
from gateway.auth.api_keys import REFRESH_SECONDS, ApiKeys, key_refresh_task
from gateway.auth.audit import AuditLog
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import Quotas, RateLimiter
from gateway.auth.sign_ins import SignIns
from gateway.config.models import Config
from gateway.datasets import files, jobs, runner
from gateway.datasets.export_rows import ExportReader
from gateway.datasets.format_exporter import NATIVE, FormatExporter
from gateway.datasets.row_process import Helping
from gateway.datasets.services import ExportServices
from gateway.datasets.versions import DatasetService
from gateway.errors import StoreUnavailable
from gateway.experiments.reader import ExperimentReader
from gateway.feedback.guardrails import GuardrailFeedbackWriter
from gateway.feedback.service import FeedbackService, OnStored
from gateway.models.process_metrics import MetricFamilies
from gateway.models.route import ResponseMaker
from gateway.proxy.cached import ProxyCache
from gateway.proxy.handler import Proxy
from gateway.proxy.in_flight import InFlight
from gateway.query.metrics import rollup_job
from gateway.query.readers import Readers
from gateway.query.receipt import ReceiptReader
from gateway.query.requests import RequestReader
from gateway.query.tail import RequestTail
from gateway.recording.access_log import AccessLog
from gateway.recording.freshness import Freshness
from gateway.recording.interpreter import CostCalculator
from gateway.recording.log_ingestion import LogIngestionService
from gateway.recording.recorder import open_recorder
from gateway.recording.retention import RetentionJob
from gateway.recording.waiting_rows import SubjectLookup
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.routes import Dispatcher, Handler
from gateway.routing.cache import AnswerCache
from gateway.routing.cache_feedback import CacheFeedback
from gateway.routing.provider_state import FindMaker
from gateway.runtime import Runtime
from gateway.status import StatusReader, build_gauges, build_labelled_gauges, readiness_check
from gateway.store import READ_ONCE_CACHE_KIB, exports_path, journal_root, open_store
from gateway.store.base import Store
from gateway.store.journal_files import GatewayJournal
from gateway.ui.documentation import documentation_api
from gateway.ui.feedback_form import FormPages, feedback_form_api
from gateway.ui.routes import ui_api
from gateway.ui.settings import GatewayStatus
from gateway.ui.widget import widget_api
from gateway.upstream.client import Upstream
from gateway.web.bodies import BodyLimits
from gateway.web.endpoint import Api
from gateway.web.middleware import AllowedOrigins, AuthMiddleware
from gateway.web.openapi import OpenApi
from gateway.wire.content_encoding import decode_or_raw

# How many of the longest bodies of the gateway's own API may be held in memory at a time.
MAX_LARGE_BODIES = 4


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """A worker's journal and slot, the metrics of its predecessors in it, and how to read those of the others."""

    journal: GatewayJournal
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
    quotas: Quotas
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
        store = await open_store(url, decode_or_raw, storage.read_url, storage.question_timeout)
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
        prices, base_urls = runtime.build_price_table(config), runtime.build_base_url_lookup(config)
        recorder = open_recorder(
            worker.journal,
            worker.number,
            storage.durability,
            storage.journal_max_bytes,
            refuses=storage.on_store_failure == "refuse",
        )
        root = journal_root(url, local_dir)
        freshness = Freshness(root, worker.journal, storage.read_wait, recorder.flush)
        stack.callback(freshness.close)
        retention_job = RetentionJob(store, storage.retention_days)
        answers = AnswerCache(store, first.cache)
        cache_feedback = CacheFeedback(store, answers)
        proxy = Proxy(
            keys=keys,
            tokens=tokens,
            quotas=quotas,
            settings=first.proxy,
            upstream=upstream,
            recorder=recorder,
            limit_bytes=storage.max_body_bytes,
            access_log=access_log,
            check_store=recorder.refuse_while_failing if storage.on_store_failure == "refuse" else None,
            cache=ProxyCache(answers),
        )

        on_stored: list[OnStored] = [metrics.observe_feedback, cache_feedback.observe]
        if config.telemetry.otlp_endpoint is not None:
            on_stored.append(reporter.observe_feedback)
        if feedback_export is not None:
            on_stored.append(feedback_export.observe)
        rate_limiter = RateLimiter(config.feedback.tokens.rate_limit)
        subjects = SubjectLookup.over(store, freshness)
        feedback = FeedbackService(subjects, rate_limiter.check_rate, on_stored, first.feedback)
        proxy.provider_state.find_maker = _response_makers(store, freshness)
        guardrail_feedback = GuardrailFeedbackWriter(feedback)
        proxy.guardrails.report = guardrail_feedback.report
        log_ingestion = LogIngestionService(
            store,
            CostCalculator(prices, base_urls),
            first.log_policy,
            storage.max_body_bytes,
            reporter.observe,
        )
        url_lookup, max_body_bytes = _url_lookup(proxy), config.server.max_feedback_bytes
        dialect, exporter = portkey_feedback.DIALECT, exports.portkey_exporter(url_lookup)
        export_files = files.ExportFiles(exports_path(url, local_dir))
        native_exporter = FormatExporter(
            Helping(
                partial(open_store, url, read_url=storage.read_url, cache_kib=READ_ONCE_CACHE_KIB),
                is_alone=True,
            )
        )
        exporters: dict[str, runner.Exporter] = {dialect: exporter, NATIVE: native_exporter}
        export_runner = runner.ExportRunner(store, export_files, exporters)
        export_jobs = jobs.ExportJobs(store, export_files, export_runner, dialect, exporter, "exportId")
        native_jobs = jobs.ExportJobs(store, export_files, export_runner, NATIVE, native_exporter)
        links = files.ExportLinks(store)
        export_services = ExportServices(ExportReader(store), native_jobs, links, DatasetService(store))
        is_ready = readiness_check(store, recorder, freshness)
        status = StatusReader(config, is_ready, recorder, freshness)
        tail = RequestTail(store, native_tail.render_row)
        readers = Readers.over(
            store,
            ReceiptReader(prices, base_urls),
            storage.question_timeout,
            freshness,
        )
        alerts = AlertService(store, first.alerts)
        alert_scheduler = AlertScheduler(store, alerts)
        form_pages = FormPages(config.feedback.tokens.app_name)
        sender = WebhookSender(first.destinations)
        webhooks = WebhookService(store, lambda: sender.destinations)
        webhook_runner = WebhookRunner(store, sender, webhooks)
        webhook_runner.declared = first.webhooks
        rules = RuleService(store)
        rule_runner = RuleRunner(store, rules)
        rule_runner.declared = first.rules
        openapi = OpenApi(lambda: [api for api in apis if api.is_documented], __version__)
        sign_ins = SignIns(keys, store)
        apis = [
            *_build_apis(
                config,
                store,
                readers,
                tail,
                feedback,
                sign_ins,
                quotas,
                tokens,
                status,
                form_pages,
                export_services,
                AutomationServices(alerts, webhooks, rules),
                ExperimentReader(store, lambda: list(proxy.settings.routes.routes.values())),
            ),
            logs.portkey_logs_api(
                log_ingestion, readers.requests, export_jobs, links, url_lookup, max_body_bytes
            ),
            operations.operations_api(is_ready, metrics, openapi),
            documentation_api(sign_ins, openapi),
        ]
        origins = AllowedOrigins(config.feedback.tokens.allow_origins)
        limits = BodyLimits(config.server.read_timeout, MAX_LARGE_BODIES * max_body_bytes)
        middleware = AuthMiddleware(
            keys, tokens, origins, AuditLog(store), access_log.answered, limits, freshness.wait
        )

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
            alerts.file_rules = new.alerts
            sender.destinations, webhook_runner.declared = new.destinations, new.webhooks
            rule_runner.declared = new.rules
            answers.settings = new.cache

        gateway = Gateway(first, use, keys, metrics, proxy, quotas, retention_job, apis, middleware, tail)
        metrics.watch(
            build_gauges(proxy, recorder, freshness, retention_job, upstream),
            build_labelled_gauges(proxy, keys, quotas, freshness),
        )

        await keys.refresh()
        # Before anything is stored, so that today has its partition.
        await retention_job.create_partitions()
        await _run(stack, quotas, recorder)
        await _run(
            stack,
            export_runner,
            retention_job,
            rollup_job(store),
            alert_scheduler,
            webhook_runner,
            rule_runner,
            answers,
            cache_feedback,
            guardrail_feedback,
            proxy.guardrails,
            proxy.mirrors,
        )
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
    export_services: ExportServices,
    automation: AutomationServices,
    experiments: ExperimentReader,
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
        export_services,
        automation,
        experiments,
    )
    lists = [each for each in native.endpoints if each.method == "GET"]
    # The native API first, since the first one answers unknown paths.
    return [
        native,
        portkey_feedback.portkey_feedback_api(feedback, feedback.scale_of, max_body_bytes),
        analytics.portkey_analytics_api(readers.metrics),
        helicone_api(feedback, store.set_property, readers.requests, max_body_bytes),
        pharia_api(feedback, max_body_bytes),
        langfuse_api(feedback, max_body_bytes),
        langsmith_api(feedback, tokens, max_body_bytes),
        mlflow_api(feedback, max_body_bytes),
        tensorzero_api(feedback, max_body_bytes),
        feedback_form_api(feedback, tokens, readers.requests, form_pages),
        widget_api(),
        ui_api(
            sign_ins,
            readers,
            queue,
            agreement,
            tail,
            feedback,
            quotas,
            status,
            automation,
            export_services,
            experiments,
            lists,
        ),
    ]


def _response_makers(store: Store, freshness: Freshness) -> FindMaker:
    reader = RequestReader(store)

    async def find_maker(response_id: str, tenant: str | None) -> ResponseMaker | None:
        # The response may have ended a moment ago.
        await freshness.wait()
        try:
            return await reader.response_maker(response_id, tenant)
        except StoreUnavailable:
            return None

    return find_maker


def _url_lookup(proxy: Proxy) -> Callable[[str, str], str | None]:
    return lambda provider, path: proxy.settings.router.url_of(provider, path)
