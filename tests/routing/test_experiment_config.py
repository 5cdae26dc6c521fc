"""The `experiment` of a route is read, and what is wrong with it is named."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.models.experiment import Experiment, Goal, Limits, Unit
from gateway.routing.portkey_config import parse_config
from gateway.routing.route_table import RouteTable

PLAIN: dict[str, Any] = {"name": "plain", "provider": "a"}
WARM: dict[str, Any] = {
    "name": "warm",
    "weight": 3,
    "strategy": {"mode": "fallback"},
    "targets": [{"provider": "b"}, {"provider": "a"}],
}


def config(**settings: Any) -> dict[str, Any]:
    return {"experiment": {"variants": [PLAIN, WARM], **settings}}


def test_variants_are_whole_targets_which_inherit_from_the_route() -> None:
    given = config(version=2, unit="session", goal="share_positive", guardrails={"error_rate": 0.05})
    route = parse_config(given | {"retry": {"attempts": 1}}, "routes.tone")
    assert route.experiment == Experiment(
        name="tone",
        version="2",
        variants=("plain", "warm"),
        shares=(0.25, 0.75),
        unit=Unit.SESSION,
        goal=Goal.SHARE_POSITIVE,
        limits=Limits(error_rate=0.05),
    )
    paths = ["[0]", "[1].targets[0]", "[1].targets[1]"]
    assert [leaf.path for leaf in route.leaves] == [f"config.experiment.variants{path}" for path in paths]
    assert all(leaf.settings.retry for leaf in route.leaves)
    assert not route.warnings


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        (config(variants=[PLAIN]), "experiment.variants", "2 to 8"),
        (config(variants=[PLAIN, PLAIN]), "experiment.variants", "same name"),
        (config(variants=[PLAIN, {"provider": "b"}]), "experiment.variants[1].name", "is missing"),
        (config(variants=[PLAIN, WARM | {"weight": 0}]), "experiment.variants[1].weight", "more than 0"),
        (config(variants=[PLAIN, WARM | config()]), "experiment.variants[1]", "of its own"),
        (config(variants=[PLAIN, WARM | {"targets": []}]), "experiment.variants[1].targets", "needs targets"),
        (config(unit="country"), "experiment.unit", "'user', 'session' or 'trace'"),
        (config(guardrails={"p95": 3}), "experiment.guardrails.p95", "not permitted"),
        (config(chosen="cold"), "experiment.chosen", "no variant is called 'cold'"),
        (config(holdout=0.6), "experiment.holdout", "0.5 or less"),
        (config(goals="score"), "experiment.goals", "not permitted"),
        (config(alpha=0.5), "experiment.alpha", "0.2 or less"),
        (config() | {"provider": "a"}, "experiment", "beside"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(given: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        parse_config(given, "routes.tone")
    assert caught.value.field == f"routes.tone.{field}"


def test_callers_bring_no_experiment_along() -> None:
    header = b'{"experiment": {"variants": [{"name": "a"}, {"name": "b"}]}}'
    with pytest.raises(BadInput, match="only routes of the configuration"):
        RouteTable(providers=["a"]).find(header, None)
