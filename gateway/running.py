"""Gateway: what runs in one process, and how it starts, reloads and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.access.allowances import Allowances
from gateway.access.hosts import TrustedHosts
from gateway.access.keys import REFRESH_SECONDS, KeyRing
from gateway.access.limits import VoteLimits
from gateway.access.tokens import FeedbackTokens
from gateway.api.operations import Metrics, Others, nobody
from gateway.config.models import Config, TokensConfig
from gateway.domain.figures import Figures
from gateway.domain.principal import Principal
from gateway.feedback import Scale
from gateway.feedback.standing import StandingVotes
from gateway.provisioning import keys_of, log_policy_of, policy_of, router_of, scale_of
from gateway.proxy.handler import PolicyOf, Proxy
from gateway.proxy.in_flight import InFlight
from gateway.query.exports import ExportRunner
from gateway.recording.access_log import AccessLog
from gateway.recording.expiring import Expiring
from gateway.recording.inheriting import Inheriting
from gateway.recording.interpreter import Interpreter
from gateway.recording.log_book import LogBook
from gateway.recording.overflow import Overflow
from gateway.recording.recorder import Recorder
from gateway.recurring import Recurring
from gateway.routing.router import Router
from gateway.store.base import Store
from gateway.telemetry import FeedbackExport, Reporter
from gateway.upstream import Upstream
from gateway.urls import FrontDoor, Handler
from gateway.web.cors import AllowedOrigins
from gateway.web.face import Face
from gateway.web.guard import Guard

_RELOADED = frozenset(
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
    reporter: Reporter
    feedback_export: FeedbackExport | None
    keys: KeyRing
    refreshing_keys: Recurring
    allowances: Allowances
    voting: Voting
    metrics: Metrics
    upstream: Upstream
    interpreter: Interpreter
    overflow: Overflow
    recorder: Recorder
    rolling_up: Recurring
    expiring: Expiring
    log_book: LogBook
    exports: ExportRunner
    proxy: Proxy
    access_log: AccessLog
    scale_of: Callable[[Principal], Scale]
    votes: StandingVotes
    faces: list[Face]
    guard: Guard
    own_calls: InFlight = field(default_factory=InFlight)
    """What is answered by the gateway itself."""

    async def start(self) -> None:
        """Bring back what an earlier process left, and begin to work."""
        await self.store.open_all()
        await self.keys.refresh()
        await self.allowances.start()
        await self.expiring.make_room()
        self.interpreter.start()
        await self.overflow.start()
        self.recorder.start()
        self.inheriting.start()
        self.rolling_up.start()
        self.expiring.start()
        self.exports.start()
        if self.feedback_export is not None:
            self.feedback_export.start()
        self.refreshing_keys.start(REFRESH_SECONDS)

    def front_door(self, faces: Handler) -> FrontDoor:
        """Return what answers every request, given what answers on the gateway's own paths."""
        return FrontDoor(faces, self.proxy, self.own_calls.counting)

    async def drain(self, seconds: float) -> None:
        """Return once nothing is in flight; what takes longer than this is cancelled."""
        await asyncio.gather(self.proxy.in_flight.drain(seconds), self.own_calls.drain(seconds))

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
        self.guard.bodies.patience_seconds = config.server.read_timeout
        self.scale_of = scale_of(config)
        self.votes.orphan_window_seconds = config.feedback.orphan_window
        self.log_book.policy_of = log_policy_of(config)
        self.access_log.mode = config.logging.access_mode
        self.keys.replace_configured(keys)
        self.keys.open_to = TrustedHosts(config.server.allowed_hosts)
        self.expiring.keep_for(config.storage.retention_days)
        self.voting.configure(config.feedback.tokens)
        self.config = config

    async def close(self) -> None:
        """Store what was taken, and let go of everything. To be called when no request is in flight."""
        await self.refreshing_keys.close()
        await self.rolling_up.close()
        await self.expiring.close()
        await self.exports.close()
        await self.recorder.close()
        await self.overflow.close()
        await self.interpreter.close()
        await self.allowances.close()
        await asyncio.to_thread(self.reporter.close)
        if self.feedback_export is not None:
            await self.feedback_export.close()
        await self.upstream.close()
        await self.store.close()
        await self.inheriting.close()


def changes_at_start(started: Config, new: Config) -> list[str]:
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
    return [field for field in fields if field not in _RELOADED]


def check_reload(config: Config) -> None:
    """Raise what `Gateway.reload` would, where there is no gateway."""
    _reloadable(config)


def _reloadable(config: Config) -> tuple[Router, PolicyOf, dict[str, Principal]]:
    return router_of(config), policy_of(config), keys_of(config)
