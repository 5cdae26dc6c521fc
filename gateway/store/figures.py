"""The seam, as far as figures of many requests go; the rest of it is in `base.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.aggregate import Cell, Latencies, Question, UsageSums, VerdictSums
from gateway.domain.filter import Filter
from gateway.domain.group import GroupedBy, Place, RequestGroup


class AggregateQueries(Protocol):
    """What questions about many requests at once need of a store. Each answer holds the parts that there is
    anything of. All raise BadInput for a field that requests have not, or that is compared with another kind,
    and may raise TooLarge where an answer has very many parts."""

    async def usage(self, question: Question) -> dict[Cell, UsageSums]:
        """Return what the requests took."""

    async def latencies(self, question: Question) -> dict[Cell, Latencies]:
        """Return how many of the requests took how long."""

    async def verdicts(self, question: Question) -> dict[Cell, VerdictSums]:
        """Return what was said of the requests."""

    async def count_groups(self, question: Question) -> dict[Cell, int]:
        """Return how many values the field has that the question groups by, apart from none; the value of each
        part is None."""

    async def count_given(self, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
        """Return how many entries each of these authors gave, on whatever; without those who gave none."""


class GroupQueries(Protocol):
    """What questions about groups of requests need of a store."""

    async def newest_groups(
        self, by: GroupedBy, where: Filter, after: Place | None, limit: int, tenant: str | None
    ) -> list[RequestGroup]:
        """Return at most so many groups of which a request matches, that of the newest first, with the figures of
        all their requests.

        Args:
            after: the place of the group before; those of a walk are all met once, whatever is stored meanwhile.
                None begins a walk.
            tenant: the only tenant whose requests there are; None: all.
        """


class Rollups(Protocol):
    """What keeping figures at hand needs of a store."""

    async def roll_up(self, at_us: int) -> int:
        """Sum up the pieces of time that are over and are not summed up, or were changed since; return how many
        there were. Answers are the same before and after, but quicker to get."""
