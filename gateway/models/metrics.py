"""Metrics over many requests: the query, group keys, sums and latency percentiles."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from gateway.models.filters import NO_FILTER, Filter, Scalar

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

# After every request there will be.
END_OF_TIME_US = 2**63 - 1

# Groups verdicts by the grade that they give, instead of by the requests that they are about.
GRADE_FIELD = "feedback.grade"


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """Which requests are meant, and how their figures are to be split.

    Args:
        from_us: the requests started then or later, in microseconds since the epoch.
        to_us: they started before this.
        where: what else must hold of them.
        group_by: a field of requests, or `metadata.KEY`: figures are split by its values; None: not at all.
        then_by: a second such field, by whose values the figures of each value of the first are split.
        bucket_us: figures are split by time, in pieces of this length that count from the epoch; None: not
            at all.
        bucket_offset_us: how long after the epoch they count from, below 0 for before.
        tenant: the only tenant whose requests count; None: all do.
    """

    from_us: int
    to_us: int
    where: Filter = NO_FILTER
    group_by: str | None = None
    bucket_us: int | None = None
    bucket_offset_us: int = 0
    tenant: str | None = None
    then_by: str | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The fields that figures are split by."""
        return tuple(field for field in (self.group_by, self.then_by) if field is not None)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """Which part of an answer figures belong to.

    Args:
        starts_at_us: beginning of the piece of time; None where time is not split.
        value: value of the field that is grouped by; None for requests that have none, or without groups.
        second: value of the second field that is grouped by, likewise.
    """

    starts_at_us: int | None = None
    value: Scalar = None
    second: Scalar = None


@dataclass(frozen=True, slots=True)
class UsageSums:
    """What requests took. Times are microseconds.

    Args:
        errors: those that were answered with a status from 400 on, or not at all though the caller waited.
        tokens_counted: those whose tokens are known.
        priced: those whose cost is known.
        duration_us: sum of the times from their arrival to the end of their answer.
        first_byte_us: sum of the times to the first byte of those that got an answer.
        answered: those that got the head of an answer.
        last_started_at_us: when the latest of them started.
    """

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    tokens_counted: int = 0
    cost_nanousd: int = 0
    priced: int = 0
    duration_us: int = 0
    first_byte_us: int = 0
    answered: int = 0
    last_started_at_us: int = 0

    def __add__(self, other: UsageSums) -> UsageSums:
        last = max(self.last_started_at_us, other.last_started_at_us)
        return replace(_add_sums(self, other), last_started_at_us=last)


@dataclass(frozen=True, slots=True)
class FeedbackSums:
    """What was said of requests. Each entry counts for one request: the one that it names, or where it names a
    trace, the latest of its requests that had started when the entry was given, else the first.

    Args:
        entries: all that were not withdrawn.
        judged_requests: requests that at least one of them counts for.
        scored: entries with a score.
        positive: those among them whose grade is greater than 0.
        weight: sum of the weights of entries with a score; `w` for one weight, `s` for one score.
        weight_squared: sum of w².
        weighted_score: sum of w·s.
        squared_weighted_score: sum of w²·s.
        squared_weighted_square: sum of w²·s².
        weighted_grade: sum of weight × grade.
    """

    entries: int = 0
    judged_requests: int = 0
    scored: int = 0
    positive: int = 0
    weight: float = 0.0
    weight_squared: float = 0.0
    weighted_score: float = 0.0
    squared_weighted_score: float = 0.0
    squared_weighted_square: float = 0.0
    weighted_grade: float = 0.0

    def __add__(self, other: FeedbackSums) -> FeedbackSums:
        return _add_sums(self, other)


Sums = TypeVar("Sums", UsageSums, FeedbackSums)


# Reads all sums in their order. `astuple` does too, but copies each, which takes most of a long answer's time.
_FIELD_VALUES = {
    sums: operator.attrgetter(*(field.name for field in fields(sums))) for sums in (UsageSums, FeedbackSums)
}


def _add_sums(one: Sums, other: Sums) -> Sums:
    values_of = _FIELD_VALUES[type(one)]
    return type(one)(*map(operator.add, values_of(one), values_of(other)))


# How many requests took how long: their number by the least number of milliseconds in a class of durations, as
# `class_of` gives it.
Latencies = Mapping[int, int]

# Durations below this are classes of their own.
EXACT_LATENCY_MS = 128


def latency_class(duration_ms: int) -> int:
    """Return the least duration of the class that a duration belongs to; classes grow with it, so that each is
    less than 1.6 % wide.

    Source: the buckets of HdrHistogram, https://hdrhistogram.github.io/HdrHistogram/.
    """
    shift = max(duration_ms.bit_length() - EXACT_LATENCY_MS.bit_length() + 1, 0)
    return duration_ms >> shift << shift


def latency_class_width(class_ms: int) -> int:
    """Return how many milliseconds wide a class is."""
    return 1 << max(class_ms.bit_length() - EXACT_LATENCY_MS.bit_length() + 1, 0)


def percentile_ms(latencies: Latencies, share: float) -> float | None:
    """Return the duration, in milliseconds, that this share of the requests did not exceed: the middle of the
    class that holds it. None where there are no requests."""
    total = sum(latencies.values())
    passed = 0
    for class_ms in sorted(latencies):
        passed += latencies[class_ms]
        if passed >= share * total:
            return class_ms + (latency_class_width(class_ms) - 1) / 2
    return None
