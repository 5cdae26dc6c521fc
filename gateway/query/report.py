"""Report of a time: what changed against the period before, the most disliked answers, and money."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.errors import BadInput
from gateway.models.feedback import Feedback, FeedbackSummary, Source, Target
from gateway.models.filters import AllOf, Comparison, Op, Page, Scalar, Sort
from gateway.models.metrics import FeedbackSums, MetricsQuery, UsageSums
from gateway.models.request import RequestRecord
from gateway.query.compare import Arm
from gateway.query.filters import METRICS_FILTERS
from gateway.query.overview import Overview, OverviewReader
from gateway.query.requests import RequestTexts, TextReader
from gateway.query.statistics import (
    ALPHA,
    MIN_PEOPLE,
    Difference,
    Estimate,
    difference_of_means,
    holm_adjusted,
    wilson_interval,
)
from gateway.store.base import FeedbackStore

TABLE_ROWS = 10
DISLIKED = 10
# Of so many of the newest disliked requests, the most disliked are shown.
_CANDIDATES = 200
_MAX_BODY_BYTES = 256 * 1024
_NEWEST_FIRST = Sort("started_at_us")
DEFAULT_GROUP = "organisation"

METHOD = (
    "Each period is compared with the one of the same length before it. A person's score is the mean of their"
    " scores; changes of scores are of means over people, with 95 % intervals (Welch, robust to people in both"
    f" periods), and are called real below {ALPHA:.0%} after Holm's correction over the report, with {MIN_PEOPLE}"
    " people or more in both. Intervals of changes of error rates are Newcombe's (1998, method 10)."
)


@dataclass(frozen=True, slots=True)
class Change:
    """The requests of one value of a field, in both periods.

    Args:
        score: change of the mean score; None with too few people.
        is_real: whether that change is more than chance.
        error_rate: change of the share of errors.
    """

    value: Scalar
    now: Arm
    before: Arm
    score: Difference | None
    is_real: bool
    error_rate: Estimate | None

    @property
    def name(self) -> str:
        return "(none)" if self.value is None else self.now.name


@dataclass(frozen=True, slots=True)
class DislikedAnswer:
    """A request whose mean score is among the lowest; `comment` is of its latest rating."""

    record: RequestRecord
    summary: FeedbackSummary
    texts: RequestTexts
    comment: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be said of a time; `changes` is by field, biggest first."""

    overview: Overview
    changes: Mapping[str, tuple[Change, ...]]
    disliked: tuple[DislikedAnswer, ...]

    @property
    def real_changes(self) -> list[tuple[str, Change]]:
        return [
            (field, change) for field, found in self.changes.items() for change in found if change.is_real
        ]


class ReportReader:
    def __init__(self, store: FeedbackStore) -> None:
        self._store = store
        self._overview = OverviewReader(store)
        self._texts = TextReader(store)

    async def read(self, query: MetricsQuery, group: str = DEFAULT_GROUP) -> Report:
        """Return the report of a query without groups. Raises BadInput, TooLarge.

        Args:
            group: field that tells groups of users apart.
        """
        if query.from_us is not None and query.to_us is not None and query.from_us >= query.to_us:
            raise BadInput("must be before the end of the time, and not in the future.", field="from")
        overview = await self._overview.read(query)
        query = replace(query, from_us=overview.from_us, to_us=overview.to_us)
        length_us = query.to_us - query.from_us
        before = replace(query, from_us=max(query.from_us - length_us, 0), to_us=query.from_us)
        fields = {"prompt": "prompt", "model": "any_model", group: group}
        arms = {
            name: await asyncio.gather(self._arms(query, field), self._arms(before, field))
            for name, field in fields.items()
        }
        # Means of many thousand people take long, and other callers' streams share the event loop.
        changes = await asyncio.to_thread(compare_periods, arms)
        return Report(overview, changes, await self._disliked(query))

    async def _arms(self, query: MetricsQuery, field: str) -> dict[Scalar, Arm]:
        grouped = replace(query, group_by=field)
        usage, feedback, people = await asyncio.gather(
            self._store.usage(grouped),
            self._store.feedback_sums(grouped),
            self._store.people(grouped, Source.HUMAN),
        )
        return {
            key.value: Arm(
                key.value, sums, feedback.get(key, FeedbackSums()), people=people.get(key.value, {})
            )
            for key, sums in usage.items()
        }

    async def _disliked(self, query: MetricsQuery) -> tuple[DislikedAnswer, ...]:
        is_bad = METRICS_FILTERS.to_filter([("rating", "bad")])
        times = (
            Comparison("started_at_us", Op.GE, query.from_us),
            Comparison("started_at_us", Op.LT, query.to_us),
        )
        where = AllOf((query.where, is_bad, *times))
        found = await self._store.find_requests(where, _NEWEST_FIRST, Page(_CANDIDATES), query.tenant)
        summaries = await self._store.feedback_summaries([record.seq for record in found])
        known = [record for record in found if record.seq in summaries]
        worst = sorted(known, key=lambda record: _rank(summaries[record.seq], record))[:DISLIKED]
        texts = await self._texts.list_texts((), {str(each.seq): each for each in worst}, _MAX_BODY_BYTES)
        latest = await self._store.latest_feedback(worst, query.tenant)
        return tuple(
            DislikedAnswer(
                record,
                summaries[record.seq],
                texts.get(str(record.seq), RequestTexts()),
                _latest_comment(record, latest),
            )
            for record in worst
        )


def _latest_comment(record: RequestRecord, entries: Sequence[Feedback]) -> str | None:
    about = [
        entry.comment
        for entry in entries
        if entry.comment and (entry.request_id == record.request_id or _is_on_trace(entry, record))
    ]
    return about[-1] if about else None


def _is_on_trace(entry: Feedback, record: RequestRecord) -> bool:
    return entry.target is Target.TRACE and entry.trace_id == record.trace_id


def _rank(summary: FeedbackSummary, record: RequestRecord) -> tuple[float, int, int]:
    mean = summary.score.weighted_mean
    return (0.0 if mean is None else mean, -summary.score.count, -record.started_at_us)


def compare_periods(
    arms: Mapping[str, Sequence[Mapping[Scalar, Arm]]],
) -> dict[str, tuple[Change, ...]]:
    """Return the changes by field, given the arms of now and before. Pure."""
    changes = {name: _changes(now, before) for name, (now, before) in arms.items()}
    tested = [each for found in changes.values() for each in found if each.score is not None]
    adjusted = holm_adjusted([each.score.p_value for each in tested if each.score is not None])
    real = {id(each) for each, p_value in zip(tested, adjusted, strict=True) if p_value < ALPHA}
    return {
        name: tuple(replace(each, is_real=id(each) in real) for each in found)
        for name, found in changes.items()
    }


def _changes(now: Mapping[Scalar, Arm], before: Mapping[Scalar, Arm]) -> list[Change]:
    ranked = sorted(now, key=lambda value: (-now[value].usage.requests, str(value)))[:TABLE_ROWS]
    return [_change(now[value], before.get(value, Arm(value))) for value in ranked]


def _change(now: Arm, before: Arm) -> Change:
    has_people = min(len(now.people), len(before.people)) >= MIN_PEOPLE
    score = difference_of_means(now.spread, before.spread) if has_people else None
    return Change(
        now.value, now, before, score, is_real=False, error_rate=_rate_change(now.usage, before.usage)
    )


def _rate_change(now: UsageSums, before: UsageSums) -> Estimate | None:
    """Return the change of the error rate with Newcombe's interval.

    Source: R. G. Newcombe, Interval Estimation for the Difference Between Independent Proportions, Statistics in
    Medicine 17, 1998, method 10.
    """
    first, second = (
        wilson_interval(usage.errors / max(usage.requests, 1), usage.requests) for usage in (now, before)
    )
    if first is None or second is None:
        return None
    change = first.value - second.value
    low = math.hypot(first.value - (first.low or 0.0), (second.high or 0.0) - second.value)
    high = math.hypot((first.high or 0.0) - first.value, second.value - (second.low or 0.0))
    return Estimate(change, change - low, change + high)
