"""Agreement between people, and between people and models, on the scores of requests."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from gateway.errors import QueryTimeout
from gateway.models.feedback import Source
from gateway.models.filters import AllOf, FeedbackFilter, Filter
from gateway.models.reviews import RequestScore
from gateway.query.filters import is_only_time, time_conditions
from gateway.query.statistics import Z_95, Estimate, wilson_interval
from gateway.store.base import Queries

# Most scores that one answer is made of, how many are read at a time, and for how long reading may take.
MAX_SCORES = 50_000
CHUNK_SCORES = 10_000
MAX_READ_SECONDS = 5.0

# Pairs are formed among the people with most requests, or a much rated request would give millions.
MAX_PEOPLE = 40
MAX_PAIRS = 50

# With fewer the normal approximation of a jackknife interval is too far off.
MIN_INTERVAL_REQUESTS = 10

Table = Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two people who scored the same requests; signs are negative, neutral and positive."""

    people: tuple[str, str]
    requests: int
    same_sign: Estimate
    kappa: Estimate | None


@dataclass(frozen=True, slots=True)
class PeopleAgreement:
    """Everybody who scored a request that others scored too."""

    people: int
    requests: int
    # Mean over requests of the share of pairs with the same sign.
    same_sign: Estimate | None
    # By the distance of scores, and by that of their ranks.
    alpha: Estimate | None
    alpha_ordinal: float | None
    # Those with most requests first.
    pairs: tuple[PairAgreement, ...]


@dataclass(frozen=True, slots=True)
class ModelAgreement:
    """Mean scores of people and of models on requests that have both."""

    requests: int
    human_mean: float | None
    model_mean: float | None
    same_sign: Estimate | None
    correlation: Estimate | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """`read_back_to_us`: all scores of requests that started after this were read; None: all there are."""

    scores: int
    read_back_to_us: int | None
    people: PeopleAgreement
    models: ModelAgreement


class AgreementReader:
    def __init__(self, store: Queries) -> None:
        self._store = store

    async def read(self, where: Filter, tenant: str | None, max_scores: int = MAX_SCORES) -> Agreement:
        """Compare the scores of matching requests, the newest ones if there are too many to read in time."""
        scores, read_back_to_us = await self._read_scores(where, tenant, max_scores)
        return await asyncio.to_thread(compare_scores, scores, read_back_to_us)

    async def _read_scores(
        self, where: Filter, tenant: str | None, max_scores: int
    ) -> tuple[Sequence[RequestScore], int | None]:
        # An index of feedback has the start of its request; the filter alone would look up each request.
        times = tuple(replace(each, field="request_started_at_us") for each in time_conditions(where))
        on_feedback = AllOf(times if is_only_time(where) else (*times, FeedbackFilter(where)))
        scores: list[RequestScore] = []
        after: tuple[int, int] | None = None
        ends_at = time.monotonic() + MAX_READ_SECONDS
        is_due = True
        while is_due:
            try:
                found = await self._store.request_scores(on_feedback, after, CHUNK_SCORES, tenant)
            except QueryTimeout:
                if not scores:
                    raise
                break
            scores += found
            if len(found) < CHUNK_SCORES:
                return scores, None
            after = (found[-1].request_started_at_us, found[-1].seq)
            is_due = len(scores) < min(max_scores, MAX_SCORES) and time.monotonic() < ends_at
        # More scores of the last request may follow.
        last_us = scores[-1].request_started_at_us
        return [score for score in scores if score.request_started_at_us > last_us], last_us


def compare_scores(scores: Sequence[RequestScore], read_back_to_us: int | None = None) -> Agreement:
    """Return the agreement of scores, of which each person's latest on a request counts."""
    people: dict[int, dict[str, RequestScore]] = defaultdict(dict)
    unnamed: dict[int, list[RequestScore]] = defaultdict(list)
    models: dict[int, list[RequestScore]] = defaultdict(list)
    for score in sorted(scores, key=lambda score: (score.updated_at_us, score.seq)):
        if score.source is Source.MODEL:
            models[score.request_seq].append(score)
        elif score.metric is None and score.author is not None:
            people[score.request_seq][score.author] = score
        elif score.metric is None:
            unnamed[score.request_seq].append(score)
    by_person = [{name: score.score for name, score in rated.items()} for rated in people.values()]
    means = [
        (_mean_score(human), _mean_score(models[seq]))
        for seq in models
        if (human := [*people.get(seq, {}).values(), *unnamed.get(seq, ())])
    ]
    return Agreement(len(scores), read_back_to_us, compare_people(by_person), compare_with_models(means))


def compare_people(requests: Iterable[Mapping[str, float]]) -> PeopleAgreement:
    """Return the agreement of people, given each request's scores by person."""
    shared = [scores for scores in requests if len(scores) > 1]
    units = [tuple(scores.values()) for scores in shared]
    share = [_share_of_same_sign(unit) for unit in units]
    return PeopleAgreement(
        people=len(set().union(*shared)),
        requests=len(shared),
        same_sign=_share_estimate(sum(share) / len(share), len(share)) if share else None,
        alpha=krippendorff_alpha(units),
        alpha_ordinal=_alpha(_to_ranks(units)),
        pairs=_compare_pairs(shared),
    )


def compare_with_models(means: Sequence[tuple[float, float]]) -> ModelAgreement:
    """Return the agreement of people with models, given both mean scores of each request."""
    n = len(means)
    if not n:
        return ModelAgreement(0, None, None, None, None)
    same = sum(_sign(human) == _sign(model) for human, model in means)
    human_mean, model_mean = (sum(column) / n for column in zip(*means, strict=True))
    return ModelAgreement(n, human_mean, model_mean, _share_estimate(same / n, n), correlation(means))


def cohen_kappa(table: Table) -> Estimate | None:
    """Return kappa of two people's categories, given how often each combination came; None if undefined.

    Source: J. Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
    """
    kappa = _kappa(Counter(table))
    if kappa is None:
        return None
    without_one = [
        (_kappa(Counter(table) - Counter({cell: 1})), count) for cell, count in table.items() if count
    ]
    return _with_interval(kappa, without_one)


def krippendorff_alpha(units: Sequence[Sequence[float]]) -> Estimate | None:
    """Return alpha with the interval metric, given each request's scores; None if undefined.

    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011.
    """
    sums = [_UnitSums.of(unit) for unit in units if len(unit) > 1]
    total = _UnitSums.total(sums)
    if (alpha := total.alpha()) is None:
        return None
    return _with_interval(alpha, [(total.without(unit).alpha(), 1) for unit in sums])


def correlation(points: Sequence[tuple[float, float]]) -> Estimate | None:
    """Return Pearson's coefficient of correlation; None if undefined."""
    n = len(points)
    mean_x, mean_y = (sum(column) / n for column in zip(*points, strict=True)) if n else (0.0, 0.0)
    # Centred, so that differences of large sums lose no digits.
    centred = [(x - mean_x, y - mean_y) for x, y in points]
    total = _moments(centred)
    if (value := _pearson(n, *total)) is None:
        return None
    without_one = []
    for x, y in centred:
        left = (one - part for one, part in zip(total, (x, y, x * x, y * y, x * y), strict=True))
        without_one.append((_pearson(n - 1, *left), 1))
    return _with_interval(value, without_one)


def jackknife_error(values: Sequence[tuple[float, int]]) -> float:
    """Return the standard error, given the values without each one of the requests, and how often each came.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11.
    """
    n = sum(count for _, count in values)
    mean = sum(value * count for value, count in values) / n
    return math.sqrt((n - 1) / n * sum(count * (value - mean) ** 2 for value, count in values))


def _with_interval(value: float, without_one: Sequence[tuple[float | None, int]]) -> Estimate:
    known = [(each, count) for each, count in without_one if each is not None]
    # Without one of the requests it may be undefined; then a single request decides, and nothing can be said.
    if len(known) < len(without_one) or sum(count for _, count in known) < MIN_INTERVAL_REQUESTS:
        return Estimate(value, None, None)
    margin = Z_95 * jackknife_error(known)
    # Without any difference between requests their spread is unknown.
    if margin < 1e-12:
        return Estimate(value, None, None)
    return Estimate(value, max(value - margin, -1.0), min(value + margin, 1.0))


def _kappa(table: Counter[tuple[int, int]]) -> float | None:
    n = table.total()
    first: Counter[int] = Counter()
    second: Counter[int] = Counter()
    for (one, other), count in table.items():
        first[one] += count
        second[other] += count
    by_chance = sum(first[category] * second[category] for category in first)
    # Both always used the same one category, or there is nothing.
    if by_chance == n * n:
        return None
    agreed = sum(count for (one, other), count in table.items() if one == other)
    return (agreed * n - by_chance) / (n * n - by_chance)


@dataclass(frozen=True, slots=True)
class _UnitSums:
    """Sums over requests: number of scores, the scores, their squares, and their distances within requests."""

    n: int
    scores: float
    squares: float
    distances: float

    @classmethod
    def of(cls, unit: Sequence[float]) -> _UnitSums:
        n, scores, squares = len(unit), sum(unit), sum(score * score for score in unit)
        # The sum over all pairs of squared differences is n × squares - scores².
        return cls(n, scores, squares, (n * squares - scores * scores) / (n - 1))

    @classmethod
    def total(cls, units: Sequence[_UnitSums]) -> _UnitSums:
        return cls(
            sum(unit.n for unit in units),
            math.fsum(unit.scores for unit in units),
            math.fsum(unit.squares for unit in units),
            math.fsum(unit.distances for unit in units),
        )

    def without(self, unit: _UnitSums) -> _UnitSums:
        return _UnitSums(
            self.n - unit.n,
            self.scores - unit.scores,
            self.squares - unit.squares,
            self.distances - unit.distances,
        )

    def alpha(self) -> float | None:
        if self.n < 2:
            return None
        expected = (self.n * self.squares - self.scores * self.scores) / (self.n - 1)
        # All scores are the same but for rounding.
        return 1 - self.distances / expected if expected > 1e-9 else None


def _alpha(units: Sequence[Sequence[float]]) -> float | None:
    return _UnitSums.total([_UnitSums.of(unit) for unit in units]).alpha()


def _to_ranks(units: Sequence[Sequence[float]]) -> list[list[float]]:
    # Krippendorff's ordinal distance is the difference of the middle ranks of two values.
    values = sorted(score for unit in units for score in unit)
    middle = len(values) / 2
    ranks = {
        score: (bisect_left(values, score) + bisect_right(values, score)) / 2 - middle
        for score in dict.fromkeys(values)
    }
    return [[ranks[score] for score in unit] for unit in units]


def _compare_pairs(shared: Sequence[Mapping[str, float]]) -> tuple[PairAgreement, ...]:
    number = Counter(name for scores in shared for name in scores)
    known = {name for name, _ in sorted(number.items(), key=lambda item: (-item[1], item[0]))[:MAX_PEOPLE]}
    tables: dict[tuple[str, str], Counter[tuple[int, int]]] = defaultdict(Counter)
    for scores in shared:
        for one, other in combinations(sorted(known & scores.keys()), 2):
            tables[one, other][_sign(scores[one]), _sign(scores[other])] += 1
    most_first = sorted(tables.items(), key=lambda item: (-item[1].total(), item[0]))[:MAX_PAIRS]
    return tuple(_compare_pair(people, table) for people, table in most_first)


def _compare_pair(people: tuple[str, str], table: Counter[tuple[int, int]]) -> PairAgreement:
    n = table.total()
    same = sum(count for (one, other), count in table.items() if one == other)
    return PairAgreement(people, n, _share_estimate(same / n, n), cohen_kappa(table))


def _share_estimate(share: float, n: int) -> Estimate:
    return wilson_interval(share, n) or Estimate(share, None, None)


def _share_of_same_sign(scores: Sequence[float]) -> float:
    n = len(scores)
    signs = Counter(map(_sign, scores))
    return sum(count * (count - 1) for count in signs.values()) / (n * (n - 1))


def _sign(score: float) -> int:
    # Means of binary fractions miss 0 by less than this.
    return 0 if abs(score) < 1e-9 else 1 if score > 0 else -1


def _mean_score(scores: Sequence[RequestScore]) -> float:
    return sum(each.weight * each.score for each in scores) / sum(each.weight for each in scores)


def _moments(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float, float]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    products = math.fsum(x * y for x, y in points)
    return math.fsum(xs), math.fsum(ys), math.fsum(x * x for x in xs), math.fsum(y * y for y in ys), products


def _pearson(n: int, x: float, y: float, xx: float, yy: float, xy: float) -> float | None:
    if n < 2:
        return None
    spread_x, spread_y = n * xx - x * x, n * yy - y * y
    # All values of one side are the same but for rounding.
    if spread_x < 1e-9 or spread_y < 1e-9:
        return None
    return max(-1.0, min((n * xy - x * y) / math.sqrt(spread_x * spread_y), 1.0))
