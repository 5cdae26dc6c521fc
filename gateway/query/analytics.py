"""Analytics: what requests took and what was said of them, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.aggregate import Cell, Latencies, Question, UsageSums, VerdictSums
from gateway.store.figures import AggregateQueries


@dataclass(frozen=True, slots=True)
class Figures:
    """One part of an answer, with all that is known of it."""

    cell: Cell
    usage: UsageSums
    verdicts: VerdictSums = field(default_factory=VerdictSums)
    latencies: Latencies = field(default_factory=dict)


class Analytics:
    """Answers questions about many requests at once."""

    def __init__(self, store: AggregateQueries) -> None:
        self._store = store

    async def figures(self, question: Question) -> list[Figures]:
        """Return the parts that have requests, in the order of time, and within a time those with most requests
        first.

        Raises:
            BadInput: requests have no such field, or it is compared with a value of another kind.
        """
        usage = await self._store.usage(question)
        verdicts = await self._store.verdicts(question)
        latencies = await self._store.latencies(question)
        parts = [
            Figures(cell, sums, verdicts.get(cell, VerdictSums()), latencies.get(cell, {}))
            for cell, sums in usage.items()
        ]
        return sorted(parts, key=_place)

    async def usage(self, question: Question) -> Mapping[Cell, UsageSums]:
        """Return only what the requests took."""
        return await self._store.usage(question)

    async def latencies(self, question: Question) -> Mapping[Cell, Latencies]:
        """Return only how many of them took how long."""
        return await self._store.latencies(question)

    async def verdicts(self, question: Question) -> Mapping[Cell, VerdictSums]:
        """Return only what was said of them."""
        return await self._store.verdicts(question)

    async def count_groups(self, question: Question) -> Mapping[Cell, int]:
        """Return how many values the field has that is grouped by."""
        return await self._store.count_groups(question)


def _place(figures: Figures) -> tuple[int, int, str]:
    return figures.cell.starts_at_us or 0, -figures.usage.requests, str(figures.cell.value)
