"""Which targets a route attempts, by the cases of the language."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.models.route import ConditionContext, RouteTarget
from gateway.routing.portkey_config import parse_config
from gateway.routing.walk import TIMED_OUT, UNREACHABLE, AttemptOutcome, RouteAttempt, RouteWalk

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases/routes.json").read_text())


def outcome(given: Any) -> AttemptOutcome:
    """An outcome as a case spells it: a status, a word, or a status with headers."""
    if isinstance(given, dict):
        return AttemptOutcome(frozenset({given["status"]}), given["headers"], f"answered {given['status']}")
    match given:
        case "final":
            return AttemptOutcome(frozenset({400}), {}, "was refused", is_final=True)
        case "unreachable":
            return AttemptOutcome(UNREACHABLE, {}, "could not be reached")
        case "timed out":
            return AttemptOutcome(TIMED_OUT, {}, "was late")
        case "quota":
            return AttemptOutcome(frozenset({429}), {}, "has no quota left", is_quota_used_up=True)
    return AttemptOutcome(frozenset({given}), {}, f"answered {given}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_route_attempts_its_targets_as_its_config_says(case: dict[str, Any]) -> None:
    context = ConditionContext(case.get("metadata", {}), case.get("params", {}), "/v1/chat/completions")
    # A draw of 0 leaves pauses as long as they can be.
    walk = RouteWalk(parse_config(case["config"]), context, draw=lambda: 0.0)
    attempts: list[str] = []
    pauses: list[float] = []
    with pytest.raises(BadInput, match=case["error"]) if "error" in case else nullcontext():
        attempt: RouteAttempt | None = walk.first()
        for given in case.get("outcomes", []):
            assert attempt is not None, "there are more outcomes than attempts"
            attempts.append(attempt.target.path)
            pauses.append(attempt.pause_seconds)
            last = outcome(given)
            attempt = walk.following(last)
        assert attempt is None
        assert case["status"] in last.statuses
    expected = [f"config.targets[{at}]" if isinstance(at, int) else at for at in case.get("attempts", [])]
    assert attempts == expected
    assert pauses == case.get("pauses", pauses)
    assert walk.retry_count == case.get("retries", walk.retry_count)


def test_a_trail_says_why_each_target_was_tried() -> None:
    targets = [{"provider": "a", "retry": {"attempts": 1}}, {"name": "spare", "provider": "b"}]
    config = {"strategy": {"mode": "fallback"}, "targets": targets}
    walk = RouteWalk(parse_config(config), ConditionContext(), draw=lambda: 0.5)
    walk.first()
    for _ in range(3):
        walk.following(outcome(503))
    assert walk.trail == [
        "a (config.targets[0]) is the target.",
        "a (config.targets[0]) answered 503; retry 1 after 0.75 s.",
        "a (config.targets[0]) answered 503; the next target of the fallback is tried.",
        "spare (config.targets[1]) answered 503, and no target is left.",
    ]


def test_targets_are_drawn_in_proportion_to_weights_with_fractions() -> None:
    weights = {"a": 0.5, "b": 0.25, "c": 0, "d": 0.25}
    targets = [{"provider": name, "weight": weight} for name, weight in weights.items()]
    route = parse_config({"strategy": {"mode": "loadbalance"}, "targets": targets})
    drawn = Counter(RouteWalk(route, ConditionContext()).first().target.provider for _ in range(4000))
    assert drawn["c"] == 0
    # Six standard deviations.
    assert all(abs(drawn[name] - 4000 * weight) < 6 * 32 for name, weight in weights.items())


def test_a_walk_to_one_target_asks_no_breaker_goes_on_to_no_other_and_is_in_its_experiment() -> None:
    variants = [
        {
            "name": "plain",
            "strategy": {"mode": "fallback"},
            "targets": [{"provider": "a"}, {"provider": "b"}],
        },
        {"name": "warm", "provider": "c"},
    ]
    route = parse_config({"experiment": {"variants": variants}}, "routes.tone")
    asked: list[RouteTarget] = []

    def lets_through(target: RouteTarget) -> bool:
        asked.append(target)
        return True

    walk = RouteWalk(route, ConditionContext(), lets_through=lets_through)
    kept = route.leaves[1]
    attempt = walk.first_at(kept, "it keeps what the request names")
    assert (attempt.target, attempt.is_last, asked) == (kept, True, [])
    assert walk.take_trail() == "it keeps what the request names."
    assert (walk.experiment, walk.variant in ("plain", "warm")) == ("tone@1", True)
    assert walk.following(outcome(503)) is None
