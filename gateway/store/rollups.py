"""Rollups: hours and days whose figures are summed up beforehand, and which of them answer a question.

A rollup holds the figures of all requests that started in its span, split by tenant and by one field. So it
answers questions without conditions, or with conditions on the field that it is split by alone. What no rollup
covers is counted from the rows themselves, so the answer is always exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.domain.aggregate import DAY_US, GRADE, HOUR_US, Question
from gateway.domain.filter import Filter, Is, Joined, Not

NO_FIELD = ""
"""Stands for not being split."""

REQUEST_FIELDS = (
    "provider", "any_model", "endpoint", "status", "outcome", "key_name", "user", "organisation", "prompt",
    "environment", "session", "cache_status", "attempt", "client_retry",
)  # fmt: skip
"""Fields of requests by which rollups are split."""

MANIFOLD_FIELDS = ("user", "session")
"""Those among them that often have about as many values as there are requests."""

USAGE_FIELDS = (NO_FIELD, *REQUEST_FIELDS)
LATENCY_FIELDS = (NO_FIELD, "provider", "any_model")
VERDICT_FIELDS = (NO_FIELD, *REQUEST_FIELDS, GRADE)

_OTHER_TABLE = "joined"
"""Stands for all fields of what is joined: no rollup is split by one."""

SPANS = (DAY_US, HOUR_US)
"""Lengths of rollups, in microseconds, the longest first."""

Seals = dict[int, list[int]]
"""When the spans of each length start that are summed up, in order."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of time whose figures come from one place.

    Args:
        span_us: length of the rollups that cover it; None where rows are counted.
    """

    from_us: int
    to_us: int
    span_us: int | None = None


def field_of(question: Question, fields: Sequence[str]) -> str | None:
    """Return the field by which those rollups are split that answer a question; None where it takes more than one,
    or one by which there are none."""
    named = set(_fields(question.where))
    named.update(question.groups)
    field = named.pop() if named else NO_FIELD
    return field if not named and field in fields else None


def segments_of(question: Question, seals: Seals) -> list[Segment]:
    """Return the pieces of a question's time in order, each with the longest rollups that cover it and do not
    reach over the bounds of its buckets."""
    done: list[Segment] = []
    left = [(question.from_us, question.to_us)] if question.from_us < question.to_us else []
    for span_us in SPANS:
        if (
            question.bucket_us is None
            or question.bucket_us % span_us == question.bucket_offset_us % span_us == 0
        ):
            covered = [run for gap in left for run in _runs(gap, span_us, seals.get(span_us, []))]
            done += [Segment(start, end, span_us) for start, end in covered]
            left = [rest for gap in left for rest in _without(gap, covered)]
    return sorted([*done, *(Segment(start, end) for start, end in left)], key=lambda part: part.from_us)


def spans_of(time_us: int) -> tuple[tuple[int, int], ...]:
    """Return length and start of each span that a time belongs to."""
    return tuple((span_us, time_us // span_us * span_us) for span_us in SPANS)


def _fields(where: Filter) -> Iterator[str]:
    if isinstance(where, Is):
        yield where.field
    elif isinstance(where, Joined):
        yield _OTHER_TABLE
    else:
        for part in (where.part,) if isinstance(where, Not) else where.parts:
            yield from _fields(part)


def _runs(gap: tuple[int, int], span_us: int, starts: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The stretches of a gap that spans cover without a break."""
    run: tuple[int, int] | None = None
    for start in starts:
        end = start + span_us
        if start < gap[0] or end > gap[1]:
            continue
        if run is not None and run[1] == start:
            run = run[0], end
        else:
            if run is not None:
                yield run
            run = start, end
    if run is not None:
        yield run


def _without(gap: tuple[int, int], covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is left of a gap besides the stretches in it."""
    at = gap[0]
    for start, end in covered:
        if gap[0] <= start and end <= gap[1]:
            if at < start:
                yield at, start
            at = end
    if at < gap[1]:
        yield at, gap[1]
