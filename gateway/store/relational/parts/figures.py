"""Figures of many requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from gateway.domain.aggregate import Cell, Latencies, Question, UsageSums, VerdictSums
from gateway.domain.filter import Filter
from gateway.domain.group import GroupedBy, Place, RequestGroup
from gateway.store.relational import answers, feedback_log, grouping, rollup_table
from gateway.store.relational.connection import Connection
from gateway.store.relational.parts.open_database import OpenDatabase
from gateway.store.relational.rollup_table import Span

T = TypeVar("T")


class Figures(OpenDatabase):
    """Keeps what `AggregateQueries`, `GroupQueries` and `Rollups` promise."""

    async def usage(self, question: Question) -> dict[Cell, UsageSums]:
        return await self._answer(answers.usage, question)

    async def latencies(self, question: Question) -> dict[Cell, Latencies]:
        return await self._answer(answers.latencies, question)

    async def verdicts(self, question: Question) -> dict[Cell, VerdictSums]:
        answers.refuse_unanswerable_of_verdicts(question, self._dialect)
        return await self._questions.ask(
            lambda connection: answers.verdicts(connection, question), is_costly=True
        )

    async def count_groups(self, question: Question) -> dict[Cell, int]:
        return await self._answer(answers.count_groups, question)

    async def count_given(self, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
        return await self._questions.ask(
            lambda connection: feedback_log.count_given(connection, authors, tenant)
        )

    async def newest_groups(
        self, by: GroupedBy, where: Filter, after: Place | None, limit: int, tenant: str | None
    ) -> list[RequestGroup]:
        return await self._questions.ask(
            lambda connection: grouping.newest_groups(connection, by, where, after, limit, tenant)
        )

    async def _answer(self, answer: Callable[[Connection, Question], T], question: Question) -> T:
        answers.refuse_unanswerable(question, self._dialect)
        return await self._questions.ask(lambda connection: answer(connection, question), is_costly=True)

    async def roll_up(self, at_us: int) -> int:
        kept = 0
        for due in await self._exact.read(lambda connection: rollup_table.due_spans(connection, at_us)):
            # Drawn when nobody has changed a row and not committed it: they would know nothing of the ticket.
            span = await self._writer.write(partial(_draw, due=due, at_us=at_us), is_alone=True)
            rollup = await self._exact.read(partial(rollup_table.sum_up, span=span))
            if rollup is not None:
                kept += await self._writer.write(partial(rollup_table.keep, rollup=rollup))
        return kept


def _draw(connection: Connection, due: tuple[str, int, int], at_us: int) -> Span:
    return rollup_table.draw_ticket(connection, *due, at_us)
