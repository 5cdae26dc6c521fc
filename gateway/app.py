"""The composition root: from a configuration to a gateway whose parts are joined. Rules live elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway import __version__
from gateway.access.hosts import TrustedHosts
from gateway.access.keys import KeyRing
from gateway.access.limits import VoteLimits
from gateway.access.tokens import FeedbackTokens
from gateway.api.helicone import helicone_face
from gateway.api.native import documentation_face, native_face
from gateway.api.operations import Metrics, Others, nobody, operations_face
from gateway.api.pharia import pharia_face
from gateway.api.portkey import DIALECT as PORTKEY
from gateway.api.portkey import portkey_analytics_face, portkey_exporter, portkey_face, portkey_logs_face
from gateway.config.models import Config, TokensConfig
from gateway.domain.figures import Figures
from gateway.domain.principal import Principal
from gateway.erasing import Eraser
from gateway.errors import StoreUnavailable
from gateway.feedback import FeedbackCore, Scale
from gateway.feedback.standing import StandingVotes
from gateway.gauges import gauges_of
from gateway.provisioning import (
    base_urls_of,
    keys_of,
    log_policy_of,
    may_lose_seconds_of,
    policy_of,
    prices_of,
    router_of,
    scale_of,
)
from gateway.proxy.handler import PolicyOf, Proxy
from gateway.proxy.in_flight import InFlight
from gateway.query import (
    JudgedRequests,
    Ranking,
    RequestReader,
    RollingUp,
    SessionReader,
    TraceReader,
    UserReader,
)
from gateway.query.exports import ExportFiles, ExportJobs, ExportLinks, ExportRunner
from gateway.recording.inheriting import Inheriting
from gateway.recording.interpreter import Interpreter
from gateway.recording.log_book import LogBook
from gateway.recording.overflow import Overflow
from gateway.recording.recorder import Recorder
from gateway.routing.router import Router
from gateway.store import are_rows_spilled, claim_worker, exports_path, open_store
from gateway.store.base import Health, Store
from gateway.store.spill import Spill
from gateway.ui import voting_face
from gateway.upstream import Upstream
from gateway.urls import FrontDoor, Handler
from gateway.web.cors import AllowedOrigins
from gateway.web.face import Face
from gateway.web.guard import Guard
from gateway.wire.content import readable

log = structlog.get_logger("gateway.app")

KEY_REFRESH_SECONDS = 2.0
"""How long it may take until a key that was made or revoked elsewhere is known here."""


class Voting:
    """What giving feedback with tokens takes: the tokens, how often each may be used, and from whose pages."""

    def __init__(self, config: TokensConfig) -> None:
        self.tokens = FeedbackTokens()
        self.limits = VoteLimits(config.rate_limit)
        self.origins = AllowedOrigins()
        self.configure(config)

    def configure(self, config: TokensConfig) -> None:
        """Take over a configuration; what was counted so far stays counted."""
        self.tokens.replace_secrets([key.get_secret_value() for key in config.keys], config.ttl_seconds)
        self.limits.votes_a_minute = config.rate_limit
        self.origins.origins = config.allow_origins


@dataclass(frozen=True, slots=True)
class Worker:
    """Which of the processes that serve together one is.

    Args:
        number: its place among them, from 0.
        inherited: what was counted by those who had the place before.
        others: asks those in the other places for their figures.
    """

    number: int = 0
    inherited: Figures = field(default_factory=dict)
    others: Others = nobody


@dataclass(slots=True)
class Gateway:
    """A gateway without its sockets: what runs in one process, and how it starts, reloads and stops."""

    config: Config
    inheriting: Inheriting
    store: Store
    keys: KeyRing
    voting: Voting
    metrics: Metrics
    upstream: Upstream
    interpreter: Interpreter
    overflow: Overflow
    recorder: Recorder
    rolling_up: RollingUp
    log_book: LogBook
    exports: ExportRunner
    proxy: Proxy
    scale_of: Callable[[Principal], Scale]
    votes: StandingVotes
    faces: list[Face]
    guard: Guard
    _key_refresh: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bring back what an earlier process left, and begin to work."""
        await self.keys.refresh()
        self.interpreter.start()
        await self.overflow.start()
        self.recorder.start()
        self.inheriting.start()
        self.rolling_up.start()
        self.exports.start()
        self._key_refresh = asyncio.create_task(_refresh_for_ever(self.keys), name="key refresh")

    def front_door(self, faces: Handler) -> FrontDoor:
        """Return what answers every request, given what answers on the gateway's own paths."""
        return FrontDoor(faces, self.proxy)

    def reload(self, config: Config) -> None:
        """Take over providers, keys, limits, payload policies, the rules of feedback and its tokens; requests in
        flight end as they began.

        Raises:
            GatewayError, OSError: the new configuration cannot be used; nothing has changed then.
        """
        router, policy, keys = _reloadable(config)
        self.proxy.router = router
        self.proxy.policy_of = policy
        self.proxy.in_flight.most = config.server.max_in_flight
        self.proxy.patience_seconds = config.server.read_timeout
        self.scale_of = scale_of(config)
        self.votes.orphan_window_seconds = config.feedback.orphan_window
        self.log_book.policy_of = log_policy_of(config)
        self.keys.replace_configured(keys)
        self.keys.open_to = TrustedHosts(config.server.allowed_hosts)
        self.voting.configure(config.feedback.tokens)
        self.config = config

    async def close(self) -> None:
        """Store what was taken, and let go of everything. To be called when no request is in flight."""
        if self._key_refresh is not None:
            self._key_refresh.cancel()
            await asyncio.gather(self._key_refresh, return_exceptions=True)
        await self.rolling_up.close()
        await self.exports.close()
        await self.recorder.close()
        await self.overflow.close()
        await self.interpreter.close()
        await self.upstream.close()
        await self.store.close()
        await self.inheriting.close()


def check_reload(config: Config) -> None:
    """Raise what `Gateway.reload` would, where there is no gateway."""
    _reloadable(config)


def _reloadable(config: Config) -> tuple[Router, PolicyOf, dict[str, Principal]]:
    return router_of(config), policy_of(config), keys_of(config)


async def open_gateway(config: Config, worker: Worker) -> Gateway:
    """Open the store and join all parts.

    Raises:
        GatewayError: the store cannot be opened, or a provider cannot be used as it is configured.
        OSError: a provider's certificate file cannot be read.
    """
    router = router_of(config)
    url, local_dir = config.storage.url, Path(config.storage.local_dir)
    claim = await asyncio.to_thread(claim_worker, url, worker.number, config.server.workers, local_dir)
    store = await open_store(url, readable, claim.numbers)
    keys = KeyRing(
        keys_of(config),
        store,
        is_off=config.server.auth == "off",
        open_to=TrustedHosts(config.server.allowed_hosts),
    )
    voting = Voting(config.feedback.tokens)
    upstream = Upstream()
    metrics = Metrics(worker.inherited, worker.others)
    interpreter = Interpreter(store, prices_of(config), base_urls_of(config), [metrics.observe])
    spill, *left_behind = map(Spill, claim.spills)
    overflow = Overflow(spill, store, interpreter, left_behind)
    recorder = Recorder(store, interpreter, overflow, may_lose_seconds=may_lose_seconds_of(config))
    proxy = Proxy(
        keys=keys,
        tokens=voting.tokens,
        router=router,
        upstream=upstream,
        recorder=recorder,
        policy_of=policy_of(config),
        limit_bytes=config.storage.max_body_bytes,
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
    metrics.watch(gauges_of(proxy, recorder, overflow, upstream))
    core = FeedbackCore(store, voting.limits.spend)
    votes = StandingVotes(store, config.feedback.orphan_window, voting.limits.spend)
    longest = config.server.max_feedback_bytes
    requests = RequestReader(store)
    native = native_face(
        requests=requests, traces=TraceReader(store), sessions=SessionReader(store), users=UserReader(store),
        ranking=Ranking(store), feedback=core, eraser=Eraser(store, lambda: are_rows_spilled(url, local_dir)),
    )  # fmt: skip
    faces = [
        native,
        # Asked for each vote anew, since a reload may have changed it.
        portkey_face(core, lambda principal: gateway.scale_of(principal), longest),
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
        config=config, inheriting=Inheriting(claim, interpreter), store=store,
        keys=keys, voting=voting, metrics=metrics, upstream=upstream,
        interpreter=interpreter, overflow=overflow, recorder=recorder, log_book=log_book, exports=exports,
        rolling_up=RollingUp(store), proxy=proxy, scale_of=scale_of(config), votes=votes,
        faces=[*faces, documentation_face(faces, __version__)],
        guard=Guard(keys, voting.tokens, voting.origins),
    )  # fmt: skip
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


async def _refresh_for_ever(keys: KeyRing) -> None:
    while True:
        await asyncio.sleep(KEY_REFRESH_SECONDS)
        try:
            await keys.refresh()
        except StoreUnavailable as error:
            log.warning("keys made at run time could not be read; those known stay valid", reason=str(error))
