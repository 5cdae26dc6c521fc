"""A session stays on its target; many sessions are spread by weight; a failure moves one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import ne
from typing import Any

from gateway.models.experiment import Unit
from gateway.models.route import ConditionContext, RouteStrategy
from gateway.routing.affinity import MAX_MOVED_SESSIONS, SessionAffinity, assign_variant, rank_for_session
from gateway.routing.portkey_config import parse_config
from gateway.routing.walk import AttemptOutcome, BySession, RouteWalk

SESSIONS = [f"session-{number}" for number in range(3000)]


def strategy(*targets: dict[str, Any]) -> RouteStrategy:
    root = parse_config({"strategy": {"mode": "loadbalance"}, "targets": list(targets)}).root
    assert isinstance(root, RouteStrategy)
    return root


def spread(balanced: RouteStrategy, sessions: Sequence[str] = SESSIONS) -> dict[str, str]:
    return {session: rank_for_session(session, balanced.targets)[0].path for session in sessions}


def test_sessions_are_spread_by_weight_and_stay() -> None:
    balanced = strategy({"provider": "a", "weight": 0.6}, {"provider": "b", "weight": 0.4}, {"weight": 0})
    chosen = spread(balanced)
    assert chosen == spread(balanced)
    shares = Counter(chosen.values())
    # Six standard deviations of 3,000 draws.
    assert abs(shares["config.targets[0]"] - 1800) < 6 * 27
    assert shares["config.targets[2]"] == 0


def test_two_targets_of_one_provider_both_have_sessions() -> None:
    shares = Counter(spread(strategy({"provider": "a"}, {"provider": "a"})).values())
    assert abs(shares["config.targets[0]"] - 1500) < 6 * 28


def test_a_target_more_moves_only_the_sessions_that_it_takes() -> None:
    before = spread(strategy({"provider": "a"}, {"provider": "b"}))
    after = spread(strategy({"provider": "a"}, {"provider": "b"}, {"provider": "c"}))
    moved = {session for session in SESSIONS if before[session] != after[session]}
    assert {after[session] for session in moved} == {"config.targets[2]"}
    assert abs(len(moved) - 1000) < 6 * 26


def test_a_failure_moves_a_session_and_no_other() -> None:
    affinity = SessionAffinity()
    route = parse_config(
        {
            "strategy": {"mode": "loadbalance"},
            "targets": [{"provider": "a"}, {"provider": "b"}, {"provider": "c"}],
        }
    )

    def walk(session: str) -> RouteWalk:
        return RouteWalk(route, ConditionContext(), choice=BySession(affinity, session))

    failing = walk("one")
    own = failing.first().target.provider
    other = walk("two").first().target.provider
    assert failing.following(AttemptOutcome(frozenset({500}), {}, "answered 500")) is None
    moved = [walk("one").first().target.provider for _ in range(3)]
    assert len(set(moved)) == 1
    assert moved[0] != own
    assert walk("two").first().target.provider == other
    assert walk("one").first().reason.endswith("is the target of the session.")


def test_sessions_that_moved_are_remembered_within_bounds() -> None:
    affinity, balanced = SessionAffinity(), strategy({"provider": "a"}, {"provider": "b"})
    for number in range(MAX_MOVED_SESSIONS + 5):
        session = str(number)
        affinity.leave(session, balanced, affinity.choose(session, balanced))
    assert len(affinity._moved) == MAX_MOVED_SESSIONS


def choices(sticky: dict[str, Any], values: dict[str, str], session: str | None) -> set[str]:
    """The targets that a hundred requests go to."""
    route = parse_config(
        {
            "strategy": {"mode": "loadbalance", "sticky": sticky},
            "targets": [{"provider": "a"}, {"provider": "b"}],
        }
    )
    choice = BySession(SessionAffinity(), session, values.get)
    walks = (RouteWalk(route, ConditionContext(), choice=choice) for _ in range(100))
    return {walk.first().target.path for walk in walks}


def test_what_a_session_is_can_be_said_and_that_none_stays() -> None:
    both = {"config.targets[0]", "config.targets[1]"}
    team = {"hash_fields": ["metadata.team", "headers.x-user"]}
    assert len(choices({}, {}, "session")) == 1
    assert choices({}, {}, None) == both
    assert choices({"enabled": False}, {"metadata.team": "blue"}, "session") == both
    assert len(choices(team, {"metadata.team": "blue"}, None)) == 1
    # Fields that a request has not are as if they had not been named.
    assert choices(team, {}, None) == both
    alike = [
        choices(team, {"metadata.team": "blue", "headers.x-user": str(user)}, "session") for user in range(40)
    ]
    assert set().union(*alike) == both
    assert all(len(each) == 1 for each in alike)


def experiment(version: int = 1, **settings: Any) -> RouteStrategy:
    variants = [{"name": "plain", "provider": "a"}, {"name": "warm", "provider": "a", "weight": 3}]
    given = {"version": version, "variants": variants, **settings}
    route = parse_config({"experiment": given}, "routes.tone")
    assert isinstance(route.root, RouteStrategy)
    return route.root


def variants_of(strategy: RouteStrategy, units: Iterable[str]) -> list[str | None]:
    assert strategy.experiment is not None
    return [assign_variant(strategy.experiment, unit, strategy.targets).name for unit in units]


def test_a_unit_keeps_its_variant_until_the_version_changes() -> None:
    units = [f"user {number}" for number in range(4000)]
    first = variants_of(experiment(), units)
    assert first == variants_of(experiment(), units)
    assert 0.72 < first.count("warm") / len(first) < 0.78
    moved = sum(map(ne, first, variants_of(experiment(version=2), units))) / len(units)
    # Independent of the first: 2 × 1/4 × 3/4.
    assert 0.34 < moved < 0.41


def test_once_a_variant_is_chosen_only_the_holdout_keeps_its_own() -> None:
    before, after = experiment(), experiment(chosen="plain", holdout=0.2)
    kept, changed = 0, set()
    for number in range(4000):
        units = {Unit.USER: f"user {number}"}
        choices = [BySession(SessionAffinity(), None, units=units).assign(each) for each in (before, after)]
        (old, _, _), (new, how, label) = choices
        if label == "tone@1":
            assert new.name == old.name
            kept += 1
        else:
            changed.add((new.name, how, label))
    assert 0.17 < kept / 4000 < 0.23
    assert changed == {("plain", "is the chosen variant of tone@1", "tone@1:plain")}


def test_a_request_without_the_unit_is_assigned_by_the_next_one() -> None:
    strategy = experiment()

    def of(**units: str) -> str | None:
        named = {Unit(unit): name for unit, name in units.items()}
        return BySession(SessionAffinity(), None, units=named).assign(strategy)[0].name

    for name in map(str, range(20)):
        assert of(user="ada", session=name, trace=name) == of(user="ada")
        assert of(session=name, trace="another") == of(session=name)
