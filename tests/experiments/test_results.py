"""Who wins, why nobody does yet, and what may be wrong with it, in words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.experiments.results import ExperimentResult, VariantSums, evaluate
from gateway.models.experiment import Experiment, Goal, Limits
from gateway.models.metrics import FeedbackSums, PersonSums, UsageSums
from gateway.query.compare import Arm


def said(score: float, entries: int = 1) -> PersonSums:
    return PersonSums(entries, entries if score > 0 else 0, 0, float(entries), score * entries)


def sums(name: str, likes: int, dislikes: int, **given: Any) -> VariantSums:
    """A thousand requests and so many people, each of whom says one thing."""
    people = {f"{name}-{n}": said(1 if n < likes else -1) for n in range(likes + dislikes)}
    usage = given.pop("usage", UsageSums(requests=1000))
    feedback = FeedbackSums(judged_requests=given.pop("judged", likes + dislikes))
    arm = Arm(name, usage, feedback, given.pop("latencies", {}), people | given.pop("more", {}))
    return VariantSums(arm, **given)


def experiment(*names: str, **given: Any) -> Experiment:
    shares = tuple(1 / len(names) for _ in names)
    return Experiment(name="tone", version="1", variants=names, shares=shares, **given)


def result(*variants: VariantSums, **given: Any) -> ExperimentResult:
    by_name = {each.arm.name: each for each in variants}
    return evaluate(experiment(*by_name, **given), by_name)


def test_a_winner_is_better_than_each_other() -> None:
    found = result(sums("plain", 100, 100), sums("warm", 150, 50))
    assert (found.leader, found.winner) == ("warm", "warm")
    [contrast] = found.contrasts
    assert contrast.difference.value == pytest.approx(0.5)
    assert contrast.difference.low is not None
    assert 0 < contrast.difference.low < 0.5
    assert contrast.more_people is None
    assert found.summary.startswith("warm is better than plain. warm − plain: +0.50, between +0.")
    assert found.variants[1].estimate is not None
    assert found.variants[1].estimate.value == pytest.approx(0.5)


def test_until_then_it_says_how_many_people_would_show_it() -> None:
    found = result(sums("plain", 20, 20), sums("warm", 26, 14))
    assert (found.leader, found.winner) == ("warm", None)
    more = found.contrasts[0].more_people
    assert more is not None
    assert f"too early to tell, about {more:,} more people would show it" in found.summary
    same = result(sums("plain", 20, 20), sums("warm", 20, 20))
    assert "far more people" in same.summary


def test_one_of_three_must_beat_both() -> None:
    found = result(sums("a", 100, 100), sums("b", 170, 30), sums("c", 168, 32))
    assert (found.leader, found.winner) == ("b", None)
    assert [each.is_shown for each in found.contrasts] == [True, False]


def test_nothing_is_said_of_a_variant_that_nobody_judged() -> None:
    found = result(sums("plain", 0, 0), sums("warm", 500, 0), sums("cold", 0, 500))
    assert found.winner is None
    assert found.summary == "Nothing can be said yet: nobody has judged plain."


def test_whoever_says_much_counts_as_one() -> None:
    fan = {"fan": said(1, 5000)}
    assert result(sums("plain", 50, 50), sums("warm", 50, 50, more=fan)).contrasts[0].evidence == 0


def test_the_share_of_positive_scores_is_on_its_own_scale() -> None:
    found = result(sums("plain", 100, 100), sums("warm", 150, 50), goal=Goal.SHARE_POSITIVE)
    assert found.contrasts[0].difference.value == pytest.approx(0.25)
    assert [each.estimate.value for each in found.variants if each.estimate] == [0.5, 0.75]


def test_the_end_of_an_experiment_is_said() -> None:
    both = (sums("plain", 100, 100), sums("warm", 150, 50))
    assert result(*both, chosen="warm").summary.startswith(
        "It has ended: warm gets all requests, but 10% of units, for which it goes on. warm is better than"
    )
    assert "all requests, without exception. " in result(*both, chosen="plain", holdout=0.0).summary


def test_a_variant_over_a_limit_cannot_win() -> None:
    limits = Limits(error_rate=0.05, p95_ms=500, cost_usd=0.001)
    costly = UsageSums(requests=1000, errors=100, cost_nanousd=2_000_000_000, priced=1000)
    found = result(
        sums("plain", 100, 100),
        sums("warm", 180, 20, usage=costly, latencies={100: 900, 900: 100}),
        sums("cold", 50, 150),
        limits=limits,
    )
    assert found.winner == "plain"
    assert [each.split()[0] for each in found.variants[1].over_limits] == ["error", "p95", "cost"]
    assert "warm cannot win: error rate 10.0% [8.3%, 12.0%], limit 5.0%; p95 9" in found.summary
    few = UsageSums(requests=20, errors=2, cost_nanousd=40_000_000, priced=20)
    assert (
        not result(sums("plain", 1, 1), sums("warm", 1, 1, usage=few), limits=limits).variants[1].over_limits
    )


def test_what_may_be_wrong_is_said() -> None:
    shared = {"both": said(1)}
    found = result(
        sums("plain", 60, 40, units=500, more=shared, crossed=30),
        sums("warm", 20, 20, units=700, more=shared),
    )
    split, several, crossed, silence, coverage = found.warnings
    assert split.startswith("The split is not as configured (plain 500, warm 700)")
    assert several.startswith("1 people judged several variants")
    assert crossed.startswith("plain: 3.0% of its requests went to another target")
    assert silence.startswith(
        "Judged requests: plain 10.0%, warm 4.0%. Whatever the others think, plain − warm"
    )
    # 2 × (0.1 × 61/101 − 0.04 × 21/41 − 0.96) and 2 × (0.1 × 61/101 − 0.04 × 21/41 + 0.9)
    assert silence.endswith("between -1.84 and +1.88.")
    assert coverage.startswith("The variants are not judged equally often")
