"""Figures in the course of time: one for each piece of it, those in which nothing happened as well."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gateway.domain.aggregate import DAY_US, HOUR_US, Cell, Latencies, Question, UsageSums, VerdictSums
from gateway.domain.filter import Scalar
from gateway.query.figures import Figures
from gateway.store.figures import AggregateQueries

T = TypeVar("T")

MINUTE_US = HOUR_US // 60
WEEK_US = 7 * DAY_US

PIECES_US: Mapping[int, int] = {
    HOUR_US: MINUTE_US,
    6 * HOUR_US: 5 * MINUTE_US,
    WEEK_US: HOUR_US,
    400 * DAY_US: DAY_US,
}
"""How long the pieces are of a time up to so long; those of a longer one are weeks. Figures of hours and days are
at hand, those of minutes have to be counted."""

LONGEST_US = 1000 * WEEK_US
"""The longest time that has a timeline."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """A piece of time. It is cut at round times (UTC), and counts only what is in the time that was asked for."""

    starts_at_us: int
    figures: T


@dataclass(frozen=True, slots=True)
class Timeline(Generic[T]):
    """Figures of a time as a whole, and of its pieces in their order."""

    whole: T
    pieces: tuple[Piece[T], ...]


def piece_us(question: Question) -> int:
    """Return how long the pieces are in which a question's time is told."""
    length_us = _last_us(question) - question.from_us
    return next((piece for longest, piece in PIECES_US.items() if length_us <= longest), WEEK_US)


async def usage_over_time(store: AggregateQueries, question: Question) -> Timeline[UsageSums]:
    """Return what the requests took."""
    found = await store.usage(_in_pieces(question))
    whole = sum(found.values(), UsageSums())
    return Timeline(whole, _spread(question, _by_start(found), UsageSums()))


async def usage_by_value_over_time(
    store: AggregateQueries, question: Question, field: str
) -> Timeline[Mapping[Scalar, UsageSums]]:
    """Return what the requests took, by the values of a field."""
    found = await store.usage(replace(_in_pieces(question), group_by=field))
    whole: dict[Scalar, UsageSums] = defaultdict(UsageSums)
    pieces: dict[int, dict[Scalar, UsageSums]] = defaultdict(dict)
    for cell, sums in found.items():
        whole[cell.value] += sums
        pieces[_start(cell)][cell.value] = sums
    return Timeline(dict(whole), _spread(question, pieces, {}))


async def latencies_over_time(store: AggregateQueries, question: Question) -> Timeline[Figures]:
    """Return what the requests took, and how many of them how long."""
    in_pieces = _in_pieces(question)
    usage = await store.usage(in_pieces)
    latencies = await store.latencies(in_pieces)
    found = {
        _start(cell): Figures(cell, sums, latencies=latencies.get(cell, {})) for cell, sums in usage.items()
    }
    whole = Figures(Cell(), sum(usage.values(), UsageSums()), latencies=_merged(latencies.values()))
    return Timeline(whole, _spread(question, found, Figures(Cell(), UsageSums())))


async def verdicts_over_time(store: AggregateQueries, question: Question) -> Timeline[VerdictSums]:
    """Return what was said of the requests."""
    found = await store.verdicts(_in_pieces(question))
    whole = sum(found.values(), VerdictSums())
    return Timeline(whole, _spread(question, _by_start(found), VerdictSums()))


async def values_over_time(store: AggregateQueries, question: Question, field: str) -> Timeline[int]:
    """Return how many values a field has. The whole is less than the sum of its pieces where they share some."""
    grouped = replace(question, group_by=field)
    found = await store.count_groups(_in_pieces(grouped))
    whole = await store.count_groups(grouped)
    return Timeline(whole.get(Cell(), 0), _spread(question, _by_start(found), 0))


def _in_pieces(question: Question) -> Question:
    return replace(question, bucket_us=piece_us(question))


def _spread(question: Question, found: Mapping[int, T], nothing: T) -> tuple[Piece[T], ...]:
    length = piece_us(question)
    first = question.from_us // length * length
    # From 9:00 to 10:00 is an hour: where 10:00 itself counts too, its piece is shown only if it has something.
    starts = {*range(first, _last_us(question), length), *found}
    return tuple(Piece(start, found.get(start, nothing)) for start in sorted(starts))


def _last_us(question: Question) -> int:
    return question.to_us - 1


def _start(cell: Cell) -> int:
    assert cell.starts_at_us is not None, "a question in pieces has its answer in pieces"
    return cell.starts_at_us


def _by_start(found: Mapping[Cell, T]) -> dict[int, T]:
    return {_start(cell): figures for cell, figures in found.items()}


def _merged(parts: Iterable[Latencies]) -> Latencies:
    merged: Counter[int] = Counter()
    for part in parts:
        merged.update(part)
    return merged
