"""Comparison of groups of requests: what they took, what people say of them, and what can be claimed."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from operator import truediv

from gateway.models.feedback import Source
from gateway.models.filters import AllOf, Comparison, Op, Scalar
from gateway.models.metrics import (
    FeedbackSums,
    GroupKey,
    Latencies,
    Measure,
    MetricsQuery,
    People,
    PersonSums,
    UsageSums,
)
from gateway.models.request import REQUEST_COLUMNS
from gateway.query import statistics
from gateway.query.metrics import MetricsReader, comparable_field
from gateway.query.statistics import ALPHA, MIN_PEOPLE, Difference, Estimate, Spread
from gateway.store.base import Queries

MIN_ARMS, MAX_ARMS = 2, 8
# Arms of a comparison that names none.
BIGGEST_ARMS = 5

# From this ratio of the highest coverage to the lowest on, missing feedback is warned of.
_COVERAGE_RATIO = 1.5
# Share of entries without an author that is warned of.
_UNSIGNED_SHARE = 0.2
# More people than this are no advice.
_MANY_PEOPLE = 100_000

METHOD = (
    "A person's score is the mean of their scores, by weight, of which the latest on each request counts; an arm's"
    " score is the mean over people. Intervals are 95 % (Student's t after Agresti and Caffo; Wilson for shares)."
    " Differences are tested by Welch's t test, robust to people who are in both arms, with Holm's correction over"
    f" all pairs, at {ALPHA:.0%}; people needed are for a power of {statistics.POWER:.0%}. Nothing is claimed of"
    f" fewer than {MIN_PEOPLE} people."
)


@dataclass(frozen=True)
class Arm:
    """A group of requests, and what people say of them."""

    value: Scalar
    usage: UsageSums = field(default_factory=UsageSums)
    feedback_sums: FeedbackSums = field(default_factory=FeedbackSums)
    latencies: Latencies = field(default_factory=dict)
    people: Mapping[str, PersonSums] = field(default_factory=dict)
    # Times to the first byte, of requests that got a head.
    first_bytes: Latencies = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)

    @cached_property
    def _said(self) -> People:
        return People.of(self.people)

    @cached_property
    def spread(self) -> Spread:
        means = map(truediv, self._said.weighted_scores, self._said.weights)
        return Spread.of(dict(zip(self._said, means, strict=True)))

    @cached_property
    def mean_score(self) -> Estimate | None:
        return statistics.mean_of_people(self.spread)

    @property
    def share_positive(self) -> Estimate | None:
        shares = list(map(truediv, self._said.positive, self._said.entries))
        # Each person is one observation: of those who give much, the true interval is a little narrower.
        return statistics.wilson_interval(sum(shares) / max(len(shares), 1), len(shares))

    @property
    def error_rate(self) -> Estimate | None:
        requests = self.usage.requests
        return statistics.wilson_interval(self.usage.errors / max(requests, 1), requests)

    @property
    def coverage(self) -> Estimate | None:
        requests = self.usage.requests
        judged = min(self.feedback_sums.judged_requests, requests)
        return statistics.wilson_interval(judged / max(requests, 1), requests)

    @property
    def entries(self) -> int:
        return int(sum(self._said.entries))

    @property
    def unsigned(self) -> int:
        return int(sum(self._said.unsigned))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms with enough people; `p_value` is corrected for the number of pairs."""

    arm: Arm
    other: Arm
    difference: Difference
    p_value: float
    more_people: float

    @property
    def is_different(self) -> bool:
        middle = (self.difference.low + self.difference.high) / 2
        return self.p_value < ALPHA and middle * self.difference.value > 0

    @property
    def more_people_needed(self) -> int | None:
        """None where the difference is shown, or so small that no advice helps."""
        if self.is_different or self.more_people > _MANY_PEOPLE:
            return None
        return _rounded(max(round(self.more_people), MIN_PEOPLE))


@dataclass(frozen=True, slots=True)
class ComparedArms:
    arms: tuple[Arm, ...]
    pairs: tuple[Pair, ...]
    summary: str
    warnings: tuple[str, ...]
    unknown_keys: tuple[str, ...] = ()


class CompareReader:
    def __init__(self, store: Queries) -> None:
        self._store = store
        self._metrics = MetricsReader(store)

    async def compare(self, query: MetricsQuery, arms: Sequence[Scalar], source: Source) -> ComparedArms:
        """Compare the groups of `query.group_by` with these values, or else the biggest. Raises BadInput, TooLarge.

        Args:
            source: whose feedback counts.
        """
        assert query.group_by is not None, "arms are groups"
        usage: Mapping[GroupKey, UsageSums] | None = None
        if not arms:
            usage = await self._store.usage(query)
            arms = _biggest_groups(usage)
        of_arms = Comparison(comparable_field(query.group_by), Op.IN, tuple(arms))
        narrowed = replace(query, where=AllOf((query.where, of_arms)))
        found, feedback, latencies, first_bytes, people = await asyncio.gather(
            self._store.usage(narrowed) if usage is None else _answered(usage),
            self._store.feedback_sums(narrowed),
            self._store.latencies(narrowed),
            self._store.latencies(narrowed, Measure.FIRST_BYTE),
            self._store.people(narrowed, source),
        )
        keys = {value: GroupKey(value=value) for value in arms}
        compared = [
            Arm(
                value,
                found.get(key, UsageSums()),
                feedback.get(key, FeedbackSums()),
                latencies.get(key, {}),
                people.get(value, {}),
                first_bytes.get(key, {}),
            )
            for value, key in keys.items()
        ]
        unknown = await self._metrics.unknown_keys(query, found)
        # Means of many thousand people take long, and other callers' streams share the event loop.
        return await asyncio.to_thread(compare_arms, compared, unknown)


async def _answered(usage: Mapping[GroupKey, UsageSums]) -> Mapping[GroupKey, UsageSums]:
    return usage


def _biggest_groups(usage: Mapping[GroupKey, UsageSums]) -> list[Scalar]:
    named = (key for key in usage if key.value is not None)
    ranked = sorted(named, key=lambda key: (-usage[key].requests, str(key.value)))
    return [key.value for key in ranked[:BIGGEST_ARMS]]


def arm_value(group_by: str, text: str) -> Scalar:
    """Return the value of a field that a text spells. Raises ValueError."""
    column = next((column for column in REQUEST_COLUMNS if column.name == group_by), None)
    if column is None or not column.is_a(int):
        return text
    if column.is_a(bool):
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError("must be a whole number")
    return int(text)


def compare_arms(arms: Sequence[Arm], unknown_keys: tuple[str, ...] = ()) -> ComparedArms:
    """Compare all pairs of arms with enough people, and say what follows. Pure."""
    pairs = _compare_pairs([arm for arm in arms if len(arm.people) >= MIN_PEOPLE])
    return ComparedArms(
        tuple(arms), tuple(pairs), _summarise(arms, pairs), tuple(_find_warnings(arms)), unknown_keys
    )


def _compare_pairs(arms: Sequence[Arm]) -> list[Pair]:
    found = [
        (one, other, difference)
        for one, other in combinations(sorted(arms, key=_score_of, reverse=True), 2)
        if (difference := statistics.difference_of_means(one.spread, other.spread)) is not None
    ]
    adjusted = statistics.holm_adjusted([difference.p_value for _, _, difference in found])
    return [
        Pair(one, other, difference, p, statistics.more_people_needed(difference, len(found)))
        for (one, other, difference), p in zip(found, adjusted, strict=True)
    ]


def _score_of(arm: Arm) -> float:
    return arm.mean_score.value if arm.mean_score else -2.0


def _summarise(arms: Sequence[Arm], pairs: Sequence[Pair]) -> str:
    if sum(arm.usage.requests > 0 for arm in arms) < MIN_ARMS:
        named = [arm.name for arm in arms if arm.usage.requests]
        return (
            f"Only {named[0]} has requests: there is nothing to compare." if named else "No request matches."
        )
    if not pairs:
        return f"Nothing can be said yet: fewer than two arms have feedback of {MIN_PEOPLE} people or more."
    best = pairs[0].arm
    with_best = [pair for pair in pairs if pair.arm is best]
    beaten = [pair.other for pair in with_best if pair.is_different]
    sentences = [_describe_lead(best, beaten)] if beaten else []
    doubtful = [pair for pair in with_best if not pair.is_different]
    return " ".join([*sentences, *([_describe_doubt(best, doubtful)] if doubtful else ())])


def _describe_lead(best: Arm, beaten: Sequence[Arm]) -> str:
    people = _join_words(f"{len(arm.people):,}" for arm in (best, *beaten))
    scores = _join_words(_describe_score(arm) for arm in beaten)
    names = _join_words(arm.name for arm in beaten)
    return (
        f"{best.name} is liked more than {names} ({_describe_score(best)} against {scores}, {people} people)."
    )


def _describe_doubt(best: Arm, pairs: Sequence[Pair]) -> str:
    first, *others = pairs
    if not others:
        return (
            f"{best.name} and {first.other.name} cannot be told apart yet: {_describe_need(first)} more people are"
            " needed at this difference."
        )
    listed = [
        f"{first.other.name} ({_describe_need(first)} more people are needed at this difference)",
        *(f"{pair.other.name} ({_describe_need(pair)})" for pair in others),
    ]
    return f"{best.name} cannot be told apart yet from {_join_words(listed)}."


def _describe_need(pair: Pair) -> str:
    needed = pair.more_people_needed
    return f"more than {_MANY_PEOPLE:,}" if needed is None else f"about {needed:,}"


def _describe_score(arm: Arm) -> str:
    mean = arm.mean_score
    assert mean is not None, "an arm of a pair has people"
    return f"{_signed(mean.value)} [{_signed(mean.low or 0.0)}, {_signed(mean.high or 0.0)}]"


def _signed(number: float) -> str:
    text = f"{abs(number):.2f}"
    return f"−{text}" if number < 0 and float(text) else text


def _rounded(number: int) -> int:
    # To two digits, since what it is reckoned from is an estimate.
    digits = max(len(str(number)) - 2, 0)
    return round(number, -digits)


def _join_words(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _find_warnings(arms: Sequence[Arm]) -> Iterable[str]:
    for arm in arms:
        if not arm.usage.requests:
            yield f"{arm.name}: no request of this time has this value."
        elif not arm.people:
            yield f"{arm.name}: nobody gave a score."
        elif len(arm.people) == 1:
            yield f"{arm.name}: no interval, since all scores are of one person."
        elif len(arm.people) < MIN_PEOPLE:
            few = f"scores of {len(arm.people)} people only"
            yield f"{arm.name}: {few}; nothing is claimed of fewer than {MIN_PEOPLE}."
        if arm.unsigned > _UNSIGNED_SHARE * arm.entries:
            yield (
                f"{arm.name}: {100 * arm.unsigned / arm.entries:.0f} % of the scores name no author, and count for"
                " the user who asked or, where that is unknown, for a person of their own."
            )
    yield from _warn_of_coverage(arms)


def _warn_of_coverage(arms: Sequence[Arm]) -> Iterable[str]:
    covered = [(arm, arm.coverage) for arm in arms if arm.coverage is not None]
    if len(covered) < MIN_ARMS:
        return
    (least, low), (most, high) = (pick(covered, key=lambda each: each[1].value) for pick in (min, max))
    differs = (high.low or 0.0) > (low.high or 0.0)
    if differs and high.value >= _COVERAGE_RATIO * low.value:
        yield (
            f"Coverage differs: {100 * high.value:.3g} % of the requests of {most.name} have"
            f" feedback, {100 * low.value:.3g} % of those of {least.name}. Missing feedback may hide a"
            " difference, or make one."
        )
