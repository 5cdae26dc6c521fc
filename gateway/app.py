"""The composition root: from a configuration to a gateway whose parts are joined. Rules live elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gateway import __version__
from gateway.access.allowances import Allowances
from gateway.access.auditing import Auditor
from gateway.access.hosts import TrustedHosts
from gateway.access.keys import KeyRing, refreshing
from gateway.api.helicone import helicone_face
from gateway.api.native import documentation_face, native_face
from gateway.api.operations import Metrics, operations_face
from gateway.api.pharia import pharia_face
from gateway.api.portkey import DIALECT as PORTKEY
from gateway.api.portkey import portkey_analytics_face, portkey_exporter, portkey_face, portkey_logs_face
from gateway.config.models import Config
from gateway.domain.feedback import Feedback
from gateway.domain.principal import Principal
from gateway.erasing import Eraser
from gateway.feedback import FeedbackCore, Scale
from gateway.feedback.standing import StandingVotes
from gateway.gauges import gauges_of, labelled_gauges_of
from gateway.provisioning import (
    base_urls_of,
    feedback_export_of,
    keys_of,
    log_policy_of,
    may_lose_seconds_of,
    policy_of,
    prices_of,
    reporter_of,
    router_of,
    scale_of,
)
from gateway.proxy.handler import Proxy
from gateway.proxy.in_flight import InFlight
from gateway.query import (
    AuditReader,
    JudgedRequests,
    Ranking,
    RequestReader,
    SessionReader,
    TextReader,
    TraceReader,
    UserReader,
    rolling_up,
)
from gateway.query.exports import ExportFiles, ExportJobs, ExportLinks, ExportRunner
from gateway.recording.access_log import AccessLog
from gateway.recording.expiring import Expiring
from gateway.recording.inheriting import Inheriting
from gateway.recording.interpreter import Interpreter
from gateway.recording.log_book import LogBook
from gateway.recording.overflow import Overflow
from gateway.recording.recorder import Recorder
from gateway.running import Gateway, Voting, Worker
from gateway.store import are_rows_spilled, claim_worker, exports_path, open_store
from gateway.store.base import Health, Store
from gateway.store.spill import Spill
from gateway.ui import voting_face
from gateway.upstream import Upstream
from gateway.web.bodies import BodyLimits
from gateway.web.guard import Guard
from gateway.wire.content import readable

LONGEST_BODIES = 4
"""How many of the longest bodies of the gateway's own API may be held at a time."""


async def open_gateway(config: Config, worker: Worker) -> Gateway:
    """Open the store and join all parts.

    Raises:
        GatewayError: the store cannot be opened, or a provider cannot be used as it is configured.
        OSError: a provider's certificate file cannot be read.
    """
    router = router_of(config)
    reporter = reporter_of(config)
    url, local_dir = config.storage.url, Path(config.storage.local_dir)
    claim = await asyncio.to_thread(claim_worker, url, worker.number, config.server.workers, local_dir)
    store = await open_store(
        url, readable, claim.numbers, config.storage.read_url, config.storage.question_timeout
    )
    keys = KeyRing(
        keys_of(config),
        store,
        is_off=config.server.auth == "off",
        open_to=TrustedHosts(config.server.allowed_hosts),
    )
    voting = Voting(config.feedback.tokens)
    upstream = Upstream()
    metrics = Metrics(worker.inherited, worker.others)
    allowances = Allowances(store)
    access_log = AccessLog(config.logging.access_mode)
    observers = [metrics.observe, allowances.observe, reporter.observe, access_log.observe]
    interpreter = Interpreter(store, prices_of(config), base_urls_of(config), observers)
    spill, *left_behind = map(Spill, claim.spills)
    overflow = Overflow(spill, store, interpreter, left_behind)
    expiring = Expiring(store, config.storage.retention_days)
    recorder = Recorder(store, interpreter, overflow, may_lose_seconds=may_lose_seconds_of(config))
    proxy = Proxy(
        keys=keys,
        tokens=voting.tokens,
        allowances=allowances,
        router=router,
        upstream=upstream,
        recorder=recorder,
        policy_of=policy_of(config),
        limit_bytes=config.storage.max_body_bytes,
        access_log=access_log,
        admit=overflow.refuse_while_engaged if config.storage.on_store_failure == "refuse" else _admit_all,
        in_flight=InFlight(config.server.max_in_flight),
        patience_seconds=config.server.read_timeout,
    )

    def url_of(provider: str, path: str) -> str | None:
        return proxy.router.url_of(provider, path)

    log_book = LogBook(store, interpreter, log_policy_of(config), config.storage.max_body_bytes)
    exporter = portkey_exporter(url_of)
    files = ExportFiles(exports_path(url, local_dir))
    exports = ExportRunner(store, files, {PORTKEY: exporter})
    metrics.watch(
        gauges_of(proxy, recorder, overflow, expiring, upstream), labelled_gauges_of(proxy, keys, allowances)
    )
    feedback_export = feedback_export_of(config, store)

    def tell(versions: Sequence[Feedback]) -> None:
        metrics.observe_feedback(versions)
        reporter.observe_feedback(versions)
        if feedback_export is not None:
            feedback_export.observe(versions)

    core = FeedbackCore(store, voting.limits.spend, tell)
    votes = StandingVotes(store, config.feedback.orphan_window, voting.limits.spend, tell)
    longest = config.server.max_feedback_bytes
    bodies = BodyLimits(config.server.read_timeout, LONGEST_BODIES * longest)
    requests = RequestReader(store)

    def scale_now(principal: Principal) -> Scale:
        # Asked for each vote anew, since a reload may have changed it.
        return gateway.scale_of(principal)

    native = native_face(
        requests=requests, traces=TraceReader(store), sessions=SessionReader(store), users=UserReader(store),
        ranking=Ranking(store), feedback=core, texts=TextReader(store), audit=AuditReader(store),
        eraser=Eraser(store, lambda: are_rows_spilled(url, local_dir)), keys=keys, allowances=allowances,
        scale_of=scale_now, max_body_bytes=longest,
    )  # fmt: skip
    faces = [
        native,
        portkey_face(core, scale_now, longest),
        portkey_logs_face(
            log_book,
            requests,
            ExportJobs(store, files, exports, PORTKEY, exporter),
            ExportLinks(store),
            url_of,
            longest,
        ),
        portkey_analytics_face(store),
        helicone_face(votes, store, JudgedRequests(store), longest),
        pharia_face(core, longest),
        voting_face(votes, voting.tokens, requests),
        operations_face(_checker(store, overflow), metrics),
    ]
    gateway = Gateway(
        config=config,
        inheriting=Inheriting(claim, interpreter),
        store=store,
        reporter=reporter,
        feedback_export=feedback_export,
        keys=keys,
        refreshing_keys=refreshing(keys),
        allowances=allowances,
        voting=voting,
        metrics=metrics,
        upstream=upstream,
        interpreter=interpreter,
        overflow=overflow,
        recorder=recorder,
        log_book=log_book,
        exports=exports,
        rolling_up=rolling_up(store),
        expiring=expiring,
        proxy=proxy,
        votes=votes,
        scale_of=scale_of(config),
        faces=[*faces, documentation_face(faces, __version__)],
        access_log=access_log,
        guard=Guard(keys, voting.tokens, voting.origins, Auditor(store), access_log.answered, bodies),
    )
    return gateway


def _admit_all() -> None:
    """Serve whether or not the store works."""


def _checker(store: Store, overflow: Overflow) -> Callable[[], Awaitable[Health]]:
    async def check() -> Health:
        health = await store.check()
        if health.is_writable and overflow.is_engaged:
            return Health(False, "rows wait in the file beside the store")
        return health

    return check
