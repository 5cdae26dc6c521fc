"""Ranking: the figures of many groups, those first that have most of something, a page at a time.

Groups are put in order by sums that are quick to get; what takes longer is worked out for the page alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from gateway.domain.aggregate import Cell, Question, UsageSums, VerdictSums
from gateway.domain.filter import All, Filter, Is, Op, Page, Scalar
from gateway.query.figures import Figures
from gateway.query.metadata_keys import unknown_keys
from gateway.query.search import COUNTED_REQUESTS, METADATA
from gateway.query.statistics import mean_score
from gateway.store.figures import AggregateQueries


def _score(verdicts: VerdictSums) -> float | None:
    estimate = mean_score(verdicts)
    return None if estimate is None else estimate.value


_OF_USAGE: Mapping[str, Callable[[UsageSums], float]] = MappingProxyType(
    {
        "requests": lambda usage: usage.requests,
        "errors": lambda usage: usage.errors,
        "error_rate": lambda usage: usage.errors / max(usage.requests, 1),
        "cost": lambda usage: usage.cost_nanousd,
        "tokens": lambda usage: usage.prompt_tokens + usage.completion_tokens,
        "latency": lambda usage: usage.duration_us / max(usage.requests, 1),
        "last_seen": lambda usage: usage.last_started_at_us,
    }
)
_OF_VERDICTS: Mapping[str, Callable[[VerdictSums], float | None]] = MappingProxyType(
    {"feedback": lambda verdicts: verdicts.entries, "score": _score}
)

MEASURES = (*_OF_USAGE, *_OF_VERDICTS)
"""What groups can be put in order by: sums, shares of requests, and the means of latency and score."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of groups. Those that have no such figure come last, equal ones by their names.

    Args:
        by: one of `MEASURES`.
    """

    by: str
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Ranked:
    """Some of the groups, in order.

    Args:
        next_offset: how many come before the next ones; None where these are the last.
        unknown_keys: keys of metadata that are grouped by and nothing has; where nothing was found, such criteria.
    """

    figures: tuple[Figures, ...]
    next_offset: int | None
    unknown_keys: tuple[str, ...] = ()


class Ranking:
    """Answers questions about many groups of requests."""

    def __init__(self, store: AggregateQueries) -> None:
        self._store = store

    async def find(self, question: Question, order: Order, page: Page) -> Ranked:
        """Return one page of the groups that have requests: in the order of time, within a time in this order.

        Without groups and pieces of time there is one part, even of no requests at all.

        Raises:
            BadInput: requests have no such field, or it is compared with a value of another kind.
            TooLarge: there are more parts than can be put in order.
        """
        usage = await self._store.usage(question)
        if not question.groups and question.bucket_us is None:
            usage = usage or {Cell(): UsageSums()}
        is_by_verdicts = order.by in _OF_VERDICTS
        verdicts = await self._store.verdicts(question) if is_by_verdicts else {}
        # Very many take long to sort, and other callers' streams go through this thread.
        ranked = await asyncio.to_thread(_in_order, usage, verdicts, order)
        end = page.offset + page.limit
        cells = ranked[page.offset : end]
        of_page = question if len(cells) == len(ranked) else _narrowed(question, cells)
        if not is_by_verdicts:
            verdicts = await self._store.verdicts(of_page)
        latencies = await self._store.latencies(of_page)
        figures = tuple(
            Figures(cell, usage[cell], verdicts.get(cell, VerdictSums()), latencies.get(cell, {}))
            for cell in cells
        )
        unknown = await self._unknown_keys(question, usage) if not page.offset else ()
        return Ranked(figures, end if end < len(ranked) else None, unknown)

    async def _unknown_keys(self, question: Question, usage: Mapping[Cell, UsageSums]) -> tuple[str, ...]:
        async def exists(condition: Filter) -> bool:
            asked = Question(question.from_us, question.to_us, condition, tenant=question.tenant)
            return any(sums.requests for sums in (await self._store.usage(asked)).values())

        suspects: list[Filter] = [Is(field, Op.NE, None) for field in _groups_without_values(question, usage)]
        if not any(sums.requests for sums in usage.values()):
            suspects.append(question.where)
        return await unknown_keys(COUNTED_REQUESTS, All(tuple(suspects)), exists) if suspects else ()


def _groups_without_values(question: Question, usage: Mapping[Cell, UsageSums]) -> list[str]:
    """The keys of metadata that are grouped by and under which none of the groups has a value."""
    return [
        field
        for field, values in zip(question.groups, _values(list(usage)), strict=False)
        if field.startswith(METADATA) and all(value is None for value in values)
    ]


def _in_order(
    usage: Mapping[Cell, UsageSums], verdicts: Mapping[Cell, VerdictSums], order: Order
) -> list[Cell]:
    sign = -1 if order.descending else 1

    def place(cell: Cell) -> tuple[int, bool, float, str, str]:
        if order.by in _OF_USAGE:
            figure: float | None = _OF_USAGE[order.by](usage[cell])
        else:
            figure = _OF_VERDICTS[order.by](verdicts.get(cell, VerdictSums()))
        return cell.starts_at_us or 0, figure is None, sign * (figure or 0), str(cell.value), str(cell.second)

    return sorted(usage, key=place)


def _narrowed(question: Question, cells: Sequence[Cell]) -> Question:
    """The question for no more than what these cells are about."""
    narrowed = question
    for field, values in zip(question.groups, _values(cells), strict=False):
        of_values = Is(_comparable(field), Op.IN, tuple(dict.fromkeys(values)))
        narrowed = replace(narrowed, where=All((narrowed.where, of_values)))
    starts = [cell.starts_at_us for cell in cells if cell.starts_at_us is not None]
    if starts and question.bucket_us is not None:
        narrowed = replace(
            narrowed,
            from_us=max(question.from_us, min(starts)),
            to_us=min(question.to_us, max(starts) + question.bucket_us),
        )
    return narrowed


def _values(cells: Sequence[Cell]) -> tuple[list[Scalar], list[Scalar]]:
    return [cell.value for cell in cells], [cell.second for cell in cells]


def _comparable(field: str) -> str:
    """The field that has the groups' names as its values: metadata is grouped by as text, whatever it holds."""
    return f"property.{field.removeprefix(METADATA)}" if field.startswith(METADATA) else field
