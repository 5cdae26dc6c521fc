"""Results of an experiment: what its variants got, who is better, and in plain words what cannot be said yet."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.experiments.confidence import (
    Sample,
    difference_interval,
    log_evidence_of_gain,
    log_sample_ratio_evidence,
    mean_interval,
    pair_alpha,
    times_needed,
)
from gateway.models.experiment import Experiment, Goal
from gateway.models.metrics import percentile_ms
from gateway.models.request import NANOUSD_PER_USD
from gateway.query.compare import Arm
from gateway.query.statistics import Estimate

# Of the sample ratio: a wrong alarm in a thousand experiments, at whatever time one looks.
_RATIO_ALPHA = 0.001
# Below so many requests the cost and the latency of a variant pass no limit.
MIN_REQUESTS = 100
_MANY_PEOPLE = 100_000


@dataclass(frozen=True, slots=True)
class VariantSums:
    """What the store has of a variant.

    Args:
        arm: its requests and people.
        crossed: requests that another target than its first answered.
        units: different ones that were assigned; None where they are not counted.
    """

    arm: Arm
    crossed: int = 0
    units: int | None = None


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One variant; `estimate` is on the goal's scale."""

    name: str
    share: float
    sums: VariantSums
    seen: Sample
    estimate: Estimate | None
    over_limits: tuple[str, ...] = ()

    @property
    def people(self) -> int:
        return int(self.seen.count)


@dataclass(frozen=True, slots=True)
class Contrast:
    """The leader against another variant.

    Args:
        difference: on the goal's scale, with its interval.
        evidence: as a part of what is needed; from 1 on the leader is better.
        more_people: about how many show the difference that there is; None: it is shown, or too small.
    """

    other: str
    difference: Estimate
    evidence: float
    more_people: int | None

    @property
    def is_shown(self) -> bool:
        return self.evidence >= 1


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What can be said now."""

    experiment: Experiment
    variants: tuple[VariantResult, ...]
    leader: str | None = None
    contrasts: tuple[Contrast, ...] = ()
    winner: str | None = None
    summary: str = ""
    warnings: tuple[str, ...] = field(default=())


def evaluate(experiment: Experiment, sums: Mapping[str, VariantSums]) -> ExperimentResult:
    """Return what the sums of the variants mean. Pure."""
    variants = tuple(
        _variant(experiment, name, share, sums.get(name) or VariantSums(Arm(name)))
        for name, share in zip(experiment.variants, experiment.shares, strict=True)
    )
    allowed = [each for each in variants if each.people and not each.over_limits]
    leader = max(allowed, key=lambda each: each.seen.mean, default=None)
    contrasts = tuple(
        _contrast(experiment, leader, each)
        for each in variants
        if leader and each in allowed and each != leader
    )
    has_won = leader is not None and bool(contrasts) and all(each.is_shown for each in contrasts)
    # A variant that nobody judged may be better than all others.
    has_won &= all(each.people or each.over_limits for each in variants)
    winner = leader.name if leader is not None and has_won else None
    warnings = tuple(_find_warnings(experiment, variants, leader))
    summary = _say_end(experiment) + _summarise(variants, leader, contrasts, winner)
    name = None if leader is None else leader.name
    return ExperimentResult(experiment, variants, name, contrasts, winner, summary, warnings)


def _variant(experiment: Experiment, name: str, share: float, sums: VariantSums) -> VariantResult:
    seen = _sample(experiment.goal, sums.arm)
    alpha = pair_alpha(experiment.alpha, len(experiment.variants))
    found = mean_interval(seen, alpha) if seen.count else None
    estimate = None if found is None else _on_scale(experiment.goal, found)
    return VariantResult(name, share, sums, seen, estimate, tuple(_over_limits(experiment, sums.arm)))


def _sample(goal: Goal, arm: Arm) -> Sample:
    people = arm.people.values()
    if goal is Goal.SHARE_POSITIVE:
        values = [each.positive / each.entries for each in people]
    else:
        values = [(each.weighted_score / each.weight + 1) / 2 for each in people]
    return Sample(len(values), math.fsum(values))


def _on_scale(goal: Goal, found: Estimate, *, is_difference: bool = False) -> Estimate:
    """Return an estimate in 0…1, or a difference of such, as the goal counts."""
    if goal is Goal.SHARE_POSITIVE:
        return found
    shift = 0 if is_difference else 1
    value, low, high = (2 * (each or 0.0) - shift for each in (found.value, found.low, found.high))
    return Estimate(value, low, high)


def _contrast(experiment: Experiment, leader: VariantResult, other: VariantResult) -> Contrast:
    alpha = pair_alpha(experiment.alpha, len(experiment.variants))
    difference = difference_interval(leader.seen, other.seen, alpha)
    evidence = log_evidence_of_gain(leader.seen, other.seen) / math.log(1 / alpha)
    factor = times_needed(leader.seen, other.seen, alpha) if evidence < 1 else None
    more = None if factor is None else math.ceil((factor - 1) * (leader.people + other.people))
    return Contrast(
        other.name,
        _on_scale(experiment.goal, difference, is_difference=True),
        max(evidence, 0.0),
        None if more is None or more > _MANY_PEOPLE else max(more, 1),
    )


def _over_limits(experiment: Experiment, arm: Arm) -> Iterator[str]:
    limits, usage = experiment.limits, arm.usage
    rate = arm.error_rate
    if limits.error_rate is not None and rate is not None and (rate.low or 0.0) > limits.error_rate:
        yield f"error rate {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}], limit {limits.error_rate:.1%}"
    if usage.requests < MIN_REQUESTS:
        return
    p95 = percentile_ms(arm.latencies, 0.95)
    if limits.p95_ms is not None and p95 is not None and p95 > limits.p95_ms:
        yield f"p95 {p95:,.0f} ms, limit {limits.p95_ms:,.0f} ms"
    if limits.cost_usd is not None and usage.priced:
        cost = usage.cost_nanousd / NANOUSD_PER_USD / usage.priced
        if cost > limits.cost_usd:
            yield f"cost {cost:.4g} USD a request, limit {limits.cost_usd:.4g} USD"


def _say_end(experiment: Experiment) -> str:
    if experiment.chosen is None:
        return ""
    rest = (
        f"but {experiment.holdout:.0%} of units, for which it goes on"
        if experiment.holdout
        else "without exception"
    )
    return f"It has ended: {experiment.chosen} gets all requests, {rest}. "


def _summarise(
    variants: Sequence[VariantResult],
    leader: VariantResult | None,
    contrasts: Sequence[Contrast],
    winner: str | None,
) -> str:
    excluded = [
        f"{each.name} cannot win: {'; '.join(each.over_limits)}." for each in variants if each.over_limits
    ]
    return " ".join([*_say_standing(variants, leader, contrasts, winner), *excluded])


def _say_standing(
    variants: Sequence[VariantResult],
    leader: VariantResult | None,
    contrasts: Sequence[Contrast],
    winner: str | None,
) -> Iterator[str]:
    silent = [each.name for each in variants if not each.people and not each.over_limits]
    if silent:
        yield f"Nothing can be said yet: nobody has judged {' or '.join(silent)}."
        return
    if leader is None or not contrasts:
        yield "Nothing can be said: fewer than two variants keep the limits."
        return
    if winner is not None:
        yield f"{winner} is better than {' and '.join(each.other for each in contrasts)}."
    for each in contrasts:
        what = f"{leader.name} − {each.other}: {_span(each.difference)}"
        if each.is_shown:
            yield f"{what}."
        elif each.more_people is None:
            yield f"{what}; too little to tell, and far more people than there are would be needed."
        else:
            yield f"{what}; too early to tell, about {each.more_people:,} more people would show it."


def _span(found: Estimate) -> str:
    low, high = found.low or 0.0, found.high or 0.0
    return f"{found.value:+.2f}, between {low:+.2f} and {high:+.2f}"


def _find_warnings(
    experiment: Experiment, variants: Sequence[VariantResult], leader: VariantResult | None
) -> Iterator[str]:
    yield from _warn_of_ratio(variants)
    yield from _warn_of_people(variants)
    for each in variants:
        requests = each.sums.arm.usage.requests
        if each.sums.crossed:
            part = each.sums.crossed / max(requests, 1)
            yield f"{each.name}: {part:.1%} of its requests went to another target than its first."
    if leader is not None:
        yield from _warn_of_silence(experiment, variants, leader)


def _warn_of_ratio(variants: Sequence[VariantResult]) -> Iterator[str]:
    counts = [each.sums.units for each in variants if each.sums.units is not None]
    if len(counts) == len(variants):
        shares = [each.share for each in variants]
        if log_sample_ratio_evidence(counts, shares) >= math.log(1 / _RATIO_ALPHA):
            found = ", ".join(f"{each.name} {each.sums.units:,}" for each in variants)
            yield (
                f"The split is not as configured ({found}): requests of a variant are lost, or its weights were"
                " changed without a new version. No result can be trusted until that is explained."
            )


def _warn_of_people(variants: Sequence[VariantResult]) -> Iterator[str]:
    names: dict[str, int] = {}
    for each in variants:
        for person in each.sums.arm.people:
            names[person] = names.get(person, 0) + 1
        if (unsigned := each.sums.arm.unsigned) > 0.2 * max(each.sums.arm.entries, 1):
            yield f"{each.name}: {unsigned:,} scores name no author, and count for the user who asked."
    if several := sum(count > 1 for count in names.values()):
        yield f"{several:,} people judged several variants, and count in each; `unit: user` keeps them in one."


def _warn_of_silence(
    experiment: Experiment, variants: Sequence[VariantResult], leader: VariantResult
) -> Iterator[str]:
    # Bounds: C. F. Manski, Nonparametric Bounds on Treatment Effects, American Economic Review 80, 1990.
    covered = {each.name: coverage for each in variants if (coverage := each.sums.arm.coverage) is not None}
    if len(covered) < len(variants):
        return
    rates = ", ".join(f"{name} {found.value:.1%}" for name, found in covered.items())
    yield f"Judged requests: {rates}. {_say_bounds(experiment, variants, leader, covered)}"
    least, most = (pick(covered.values(), key=lambda each: each.value) for pick in (min, max))
    if (most.low or 0.0) > (least.high or 1.0):
        yield "The variants are not judged equally often: those who stay silent may think otherwise."


def _say_bounds(
    experiment: Experiment,
    variants: Sequence[VariantResult],
    leader: VariantResult,
    covered: Mapping[str, Estimate],
) -> str:
    rivals = [each for each in variants if each is not leader and each.people]
    if not rivals:
        return ""
    rival = max(rivals, key=lambda each: each.seen.mean)
    share, rival_share = covered[leader.name].value, covered[rival.name].value
    known = share * leader.seen.mean - rival_share * rival.seen.mean
    bounds = Estimate(known, known - (1 - rival_share), known + (1 - share))
    on_scale = _on_scale(experiment.goal, bounds, is_difference=True)
    return (
        f"Whatever the others think, {leader.name} − {rival.name} over all requests lies between"
        f" {on_scale.low:+.2f} and {on_scale.high:+.2f}."
    )
