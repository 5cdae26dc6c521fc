"""Metrics over many requests: the query, group keys, sums and latency percentiles."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from gateway.models.filters import NO_FILTER, Filter, Scalar

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US
QUARTER_DAY_US = DAY_US // 4

# After every request.
END_OF_TIME_US = 2**63 - 1

# Groups feedback by its grade instead of by its requests.
GRADE_FIELD = "feedback.grade"


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """Which requests are summed up, and how the sums are split."""

    # Start of the time, inclusive, in microseconds since the epoch; `to_us` is exclusive.
    from_us: int
    to_us: int
    where: Filter = NO_FILTER
    # A field of requests or `metadata.KEY`; None: no split.
    group_by: str | None = None
    # Length of the buckets that split the time, counted from the epoch; None: no split.
    bucket_us: int | None = None
    # How long after the epoch they count from, below 0 for before.
    bucket_offset_us: int = 0
    # None: all.
    tenant: str | None = None
    # A second such field.
    then_by: str | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(field for field in (self.group_by, self.then_by) if field is not None)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The part of a query's time that an answer within a time limit is about."""

    # Of the query as far as there are requests.
    from_us: int
    to_us: int
    # Requests count that started from then on; None where there are none.
    covers_from_us: int | None
    # Whether rollups are or will be kept by the fields of the query, so that it is answered sooner later.
    is_rolled_up: bool

    @property
    def is_whole(self) -> bool:
        return self.covers_from_us is None or self.covers_from_us <= self.from_us

    @property
    def share(self) -> float:
        if self.covers_from_us is None or self.is_whole:
            return 1.0
        return (self.to_us - self.covers_from_us) / (self.to_us - self.from_us)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """The part of an answer that sums belong to."""

    # Start of the bucket.
    starts_at_us: int | None = None
    # Of `group_by`; `second` of `then_by`.
    value: Scalar = None
    second: Scalar = None


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Sums over requests. Times are microseconds."""

    requests: int = 0
    # Requests with a status from 400 on, or without an answer though the caller waited.
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    # Requests whose tokens are known; `priced`: whose cost is.
    tokens_counted: int = 0
    cost_nanousd: int = 0
    priced: int = 0
    # From arrival to the end of the answer.
    duration_us: int = 0
    # From arrival to the first byte, of `answered` requests, which got a head.
    first_byte_us: int = 0
    answered: int = 0
    # Of the latest request, the only field that is no sum.
    last_started_at_us: int = 0

    def __add__(self, other: UsageSums) -> UsageSums:
        last = max(self.last_started_at_us, other.last_started_at_us)
        return replace(_add_sums(self, other), last_started_at_us=last)


@dataclass(frozen=True, slots=True)
class FeedbackSums:
    """Sums over feedback, of weights `w` and scores `s`. Each entry counts for one request."""

    # All but withdrawn ones.
    entries: int = 0
    # Requests that at least one entry counts for.
    judged_requests: int = 0
    scored: int = 0
    # Scored entries whose grade is greater than 0.
    positive: int = 0
    # Σ w; `weight_squared`: Σ w²; `weighted_score`: Σ w·s; `weighted_grade`: Σ weight × grade.
    weight: float = 0.0
    weight_squared: float = 0.0
    weighted_score: float = 0.0
    # Σ w²·s; `squared_weighted_square`: Σ w²·s².
    squared_weighted_score: float = 0.0
    squared_weighted_square: float = 0.0
    weighted_grade: float = 0.0

    def __add__(self, other: FeedbackSums) -> FeedbackSums:
        return _add_sums(self, other)


class PersonSums(NamedTuple):
    """Sums over what one person says, of which the latest on each request counts."""

    # With a score, and of them those above 0; `unsigned`: those that name no author.
    entries: int = 0
    positive: int = 0
    unsigned: int = 0
    # Σ w; `weighted_score`: Σ w·s.
    weight: float = 0.0
    weighted_score: float = 0.0


class People(Mapping[str, PersonSums]):
    """Sums of each person, a column of all for each kind of sum: made one by one, very many would take long."""

    def __init__(self, places: Mapping[str, int], columns: Sequence[Sequence[float]]) -> None:
        self._places = places
        self.entries, self.positive, self.unsigned, self.weights, self.weighted_scores = columns

    @classmethod
    def of(cls, people: Mapping[str, PersonSums]) -> People:
        if isinstance(people, People):
            return people
        columns = list(zip(*people.values(), strict=True)) or [()] * len(PersonSums._fields)
        return cls({person: place for place, person in enumerate(people)}, columns)

    def __getitem__(self, person: str) -> PersonSums:
        place = self._places[person]
        entries, positive, unsigned = self.entries[place], self.positive[place], self.unsigned[place]
        weight, weighted_score = self.weights[place], self.weighted_scores[place]
        return PersonSums(int(entries), int(positive), int(unsigned), weight, weighted_score)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


Sums = TypeVar("Sums", UsageSums, FeedbackSums)


# `astuple` copies each value, which would take most of a long answer's time.
_FIELD_VALUES = {
    sums: operator.attrgetter(*(field.name for field in fields(sums))) for sums in (UsageSums, FeedbackSums)
}


def _add_sums(one: Sums, other: Sums) -> Sums:
    values_of = _FIELD_VALUES[type(one)]
    return type(one)(*map(operator.add, values_of(one), values_of(other)))


class Measure(StrEnum):
    """A time that requests are counted by, from their arrival on."""

    # To the end of the answer; `FIRST_BYTE`: of requests that got a head.
    DURATION = "duration"
    FIRST_BYTE = "first_byte"


# Numbers of requests by the least milliseconds in their class of durations, as `latency_class` returns it.
Latencies = Mapping[int, int]

# Durations below this are classes of their own.
EXACT_LATENCY_MS = 128


def latency_class(duration_ms: int) -> int:
    """Return the least duration of the class, less than 1.6 % wide as in HdrHistogram
    (https://hdrhistogram.github.io/HdrHistogram/)."""
    shift = max(duration_ms.bit_length() - EXACT_LATENCY_MS.bit_length() + 1, 0)
    return duration_ms >> shift << shift


def latency_class_width(class_ms: int) -> int:
    return 1 << max(class_ms.bit_length() - EXACT_LATENCY_MS.bit_length() + 1, 0)


def percentile_us(latencies: Latencies, share: float) -> float | None:
    found = percentile_ms(latencies, share)
    return None if found is None else found * 1000


def percentile_ms(latencies: Latencies, share: float) -> float | None:
    # The middle of the class that holds it.
    total = sum(latencies.values())
    passed = 0
    for class_ms in sorted(latencies):
        passed += latencies[class_ms]
        if passed >= share * total:
            return class_ms + (latency_class_width(class_ms) - 1) / 2
    return None
