"""RouteWalk: the attempts that a route makes, one after another, each decided by the outcomes before."""

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from gateway.errors import BadInput
from gateway.models.exchange import value_class
from gateway.models.experiment import NARROWER_UNITS, Unit
from gateway.models.route import (
    ConditionContext,
    Route,
    RouteMode,
    RouteNode,
    RouteStrategy,
    RouteTarget,
)
from gateway.routing.affinity import SessionAffinity, assign_variant, is_held_out
from gateway.routing.retry import RetryState

# What an attempt that reached nobody, or whose answer was late, counts as: whichever of them a config lists.
UNREACHABLE = frozenset({500, 502, 503})
TIMED_OUT = frozenset({408, 504})

_OK = frozenset(range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES))


@value_class()
class AttemptOutcome:
    """How an attempt ended, as far as a route looks at it.

    Args:
        statuses: of the response; of an attempt without one all that it counts as.
        headers: of the response, by lower-case name.
        reason: what happened, as a phrase for the trail.
        is_final: a refusal of the gateway itself, which no other target mends.
        is_quota_used_up: the provider takes no more for now, so that trying it again is no use.
        is_broken: the response is empty, malformed or without its end, whatever its status says.
    """

    statuses: frozenset[int]
    headers: Mapping[str, str]
    reason: str
    is_final: bool = False
    is_quota_used_up: bool = False
    is_broken: bool = False

    @property
    def is_success(self) -> bool:
        return bool(self.statuses & _OK)


@value_class()
class RouteAttempt:
    """The next attempt.

    Args:
        reason: why it is made, as a sentence.
        is_last: whether its answer is the caller's, whatever it is.
    """

    target: RouteTarget
    pause_seconds: float
    reason: str
    is_last: bool


class TargetChoice(Protocol):
    """Chooses among the targets of a loadbalance."""

    def choose(self, strategy: RouteStrategy) -> tuple[RouteNode, str]:
        """Return a target, and how it was chosen, as a phrase."""

    def assign(self, strategy: RouteStrategy) -> tuple[RouteNode, str, str]:
        """Return a variant of an experiment, how it was chosen, and the experiment as the row has it."""

    def leave(self, strategy: RouteStrategy, failed: RouteNode) -> None:
        """Note that the target that was chosen has failed."""


class ByWeight:
    """Draws a target for each request."""

    def choose(self, strategy: RouteStrategy) -> tuple[RouteNode, str]:
        weights = [target.weight for target in strategy.targets]
        return random.choices(strategy.targets, weights)[0], "was drawn by weight"

    def assign(self, strategy: RouteStrategy) -> tuple[RouteNode, str, str]:
        assert strategy.experiment is not None, "only experiments have variants"
        return *self.choose(strategy), strategy.experiment.label

    def leave(self, strategy: RouteStrategy, failed: RouteNode) -> None: ...


@dataclass(frozen=True, slots=True)
class BySession(ByWeight):
    """Keeps a session on its target, and draws one for a request without.

    Args:
        session: by name of the caller, if it has one.
        value_of: the value of a session field, as text; None where the request has none.
        units: what of the request an experiment may keep on its variant.
    """

    affinity: SessionAffinity
    session: str | None
    value_of: Callable[[str], str | None] = lambda name: None
    units: Mapping[Unit, str] = field(default_factory=dict)

    def assign(self, strategy: RouteStrategy) -> tuple[RouteNode, str, str]:
        experiment = strategy.experiment
        assert experiment is not None, "only experiments have variants"
        for unit in NARROWER_UNITS[experiment.unit]:
            if (name := self.units.get(unit)) is None:
                continue
            key = f"{unit}\0{name}"
            if experiment.chosen is not None and not is_held_out(experiment, key):
                chosen = strategy.target_named(experiment.chosen)
                assert chosen is not None, "a variant was chosen"
                return chosen, f"is the chosen variant of {experiment.label}", experiment.ended_label
            assigned = assign_variant(experiment, key, strategy.targets)
            return assigned, f"is the variant of its {unit} in {experiment.label}", experiment.label
        return ByWeight.assign(self, strategy)

    def choose(self, strategy: RouteStrategy) -> tuple[RouteNode, str]:
        session = self._session_in(strategy)
        if session is None:
            return ByWeight.choose(self, strategy)
        return self.affinity.choose(session, strategy), "is the target of the session"

    def leave(self, strategy: RouteStrategy, failed: RouteNode) -> None:
        if (session := self._session_in(strategy)) is not None:
            self.affinity.leave(session, strategy, failed)

    def _session_in(self, strategy: RouteStrategy) -> str | None:
        if not strategy.keeps_sessions:
            return None
        values = [self.value_of(name) for name in strategy.session_fields]
        if any(value is not None for value in values):
            return "\0".join(value or "" for value in values)
        return self.session


_Steps = Generator[RouteAttempt, AttemptOutcome, AttemptOutcome]


@dataclass(slots=True)
class RouteWalk:
    """Walks a route for one request.

    Args:
        choice: chooses the target of a loadbalance.
        lets_through: whether a target's breaker lets a request through; asked once for each attempt.
        draw: a number from 0 up to 1 for the pauses of retries.
    """

    route: Route
    context: ConditionContext
    choice: TargetChoice = field(default_factory=ByWeight)
    lets_through: Callable[[RouteTarget], bool] = lambda target: True
    draw: Callable[[], float] = random.random
    # A sentence for each decision, in order.
    trail: list[str] = field(default_factory=list, init=False)
    # Of the target under way, as `x-portkey-retry-attempt-count` and `x-portkey-last-used-option-index` have them.
    retry_count: int = field(default=0, init=False)
    current_path: str = field(default="config", init=False)
    # The variant that was assigned, and its experiment, as the row has them.
    experiment: str | None = field(default=None, init=False)
    variant: str | None = field(default=None, init=False)
    _steps: _Steps | None = field(default=None, init=False)
    _shown: int = field(default=0, init=False)

    def first(self) -> RouteAttempt:
        """Return the first attempt. Raises BadInput where no condition holds."""
        self._steps = self._node(self.route.root, "", has_successor=False)
        return self._note(next(self._steps))

    def first_at(self, target: RouteTarget, why: str) -> RouteAttempt:
        """Return the first attempt of a walk to one target alone, for a reason."""
        root = self.route.root
        if isinstance(root, RouteStrategy) and root.experiment is not None and self.variant is None:
            # Results are of those who were assigned, whichever target answers them.
            self._assign(root)
        self.trail.clear()
        self._steps = self._target(target, why, has_successor=False)
        return self._note(next(self._steps))

    def following(self, outcome: AttemptOutcome) -> RouteAttempt | None:
        """Return the attempt after one that ended so; None where its response is the caller's."""
        assert self._steps is not None, "the first attempt comes first"
        try:
            return self._note(self._steps.send(outcome))
        except StopIteration:
            return None

    def take_trail(self) -> str:
        """Return the sentences since the last call."""
        start, self._shown = self._shown, len(self.trail)
        return " ".join(self.trail[start:])

    def _note(self, attempt: RouteAttempt) -> RouteAttempt:
        self.trail.append(attempt.reason)
        self.current_path = attempt.target.path
        return attempt

    def _node(self, node: RouteNode, why: str, *, has_successor: bool) -> _Steps:
        if isinstance(node, RouteTarget):
            return (yield from self._target(node, why, has_successor=has_successor))
        match node.mode:
            case RouteMode.FALLBACK:
                return (yield from self._fallback(node, why, has_successor=has_successor))
            case RouteMode.LOADBALANCE:
                return (yield from self._loadbalance(node, why, has_successor=has_successor))
            case RouteMode.CONDITIONAL:
                chosen, reason = self._conditional(node)
                return (yield from self._node(chosen, _join(why, reason), has_successor=has_successor))
            case _:
                return (yield from self._node(node.targets[0], why, has_successor=has_successor))

    def _fallback(self, node: RouteStrategy, why: str, *, has_successor: bool) -> _Steps:
        reason = why
        outcome: AttemptOutcome | None = None
        for target in node.targets:
            if self._is_left_out(target):
                continue
            may_fall_back = has_successor or (
                target is not node.targets[-1] and node.status_codes != frozenset()
            )
            outcome = yield from self._node(target, reason, has_successor=may_fall_back)
            if self._ends(node, outcome):
                return outcome
            reason = _join(f"{target.label} {outcome.reason}", "the next target of the fallback is tried")
        if outcome is None:
            # All failed a moment ago, so the first is as good as any.
            why = "all targets failed too often a moment ago"
            outcome = yield from self._node(node.targets[0], why, has_successor=has_successor)
        else:
            self.trail.append(f"{target.label} {outcome.reason}, and no target is left.")
        return outcome

    def _loadbalance(self, node: RouteStrategy, why: str, *, has_successor: bool) -> _Steps:
        if node.experiment is not None:
            # Whatever its health: results are of those who were assigned to it.
            variant, reason = self._assign(node)
            return (yield from self._node(variant, reason, has_successor=has_successor))
        chosen, how = self.choice.choose(node)
        left = node
        while self._is_left_out(chosen):
            others = [target for target in left.targets if target is not chosen and target.weight]
            if not others:
                chosen, how = self.choice.choose(node)
                break
            left = replace(left, targets=others)
            chosen, how = self.choice.choose(left)
        reason = _join(why, f"{chosen.label} {how}")
        outcome = yield from self._node(chosen, reason, has_successor=has_successor)
        if not outcome.is_success and not outcome.is_final:
            self.choice.leave(node, chosen)
        return outcome

    def _assign(self, node: RouteStrategy) -> tuple[RouteNode, str]:
        """Return the variant of the request, and why it is that."""
        variant, how, self.experiment = self.choice.assign(node)
        self.variant = variant.name
        return variant, f"{variant.label} {how}"

    def _is_left_out(self, node: RouteNode) -> bool:
        if not isinstance(node, RouteTarget) or self.lets_through(node):
            return False
        self.trail.append(f"{node.label} was left out: it failed too often a moment ago.")
        return True

    def _ends(self, node: RouteStrategy, outcome: AttemptOutcome) -> bool:
        if outcome.is_final:
            return True
        if node.status_codes is None:
            return outcome.is_success
        return not outcome.statuses & node.status_codes

    def _conditional(self, node: RouteStrategy) -> tuple[RouteNode, str]:
        for position, condition in enumerate(node.conditions):
            if condition.holds(self.context) and (chosen := node.target_named(condition.then)):
                return chosen, f"condition {position + 1} of {node.path} chose {chosen.label}"
        if node.default is not None and (chosen := node.target_named(node.default)):
            return chosen, f"no condition of {node.path} held, so {chosen.label} is used by default"
        # As in Portkey: this ends a fallback around it too.
        raise BadInput(
            "no condition holds for this request, and there is no default.",
            field=f"{node.path}.strategy.conditions",
            hint="Add a default, or send what a condition asks for.",
        )

    def _target(self, target: RouteTarget, why: str, *, has_successor: bool) -> _Steps:
        rule = target.settings.retry
        state = None if rule is None else RetryState(rule, self.draw)
        self.retry_count = 0
        retries = 0 if rule is None or not rule.status_codes else rule.attempts
        reason = _sentence(why or f"{target.label} is the target")
        attempt = RouteAttempt(target, 0.0, reason, not has_successor and not retries)
        while True:
            outcome = yield attempt
            if state is None or outcome.is_final or outcome.is_quota_used_up:
                return outcome
            pause = state.next_pause(outcome.statuses, outcome.headers)
            self.retry_count = state.count
            if pause is None:
                return outcome
            reason = _sentence(f"{target.label} {outcome.reason}; retry {state.retries} after {pause:.2f} s")
            attempt = RouteAttempt(target, pause, reason, not has_successor and state.retries >= retries)


def _join(why: str, reason: str) -> str:
    return f"{why}; {reason}" if why else reason


def _sentence(phrase: str) -> str:
    return f"{phrase}."
