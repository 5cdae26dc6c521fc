"""Feedback, and what ids name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.domain.feedback import Feedback, FeedbackSummary, Receipt, Target
from gateway.domain.filter import All, Filter, Is, Op, Page, Sort, mentions
from gateway.domain.request import RequestRecord
from gateway.domain.subject import Subject
from gateway.store.filters import Query
from gateway.store.relational import erasing, feedback_log, feedback_summary
from gateway.store.relational.connection import Connection
from gateway.store.relational.joining import find_subjects
from gateway.store.relational.parts.open_database import OpenDatabase
from gateway.store.rows import feedback_from_row
from gateway.store.sql import select
from gateway.store.tables import FEEDBACK

_NOT_DELETED = Is("deleted_at_us", Op.EQ, None)


class FeedbackEntries(OpenDatabase):
    """Keeps what `FeedbackStore`, `FeedbackQueries` and `IdQueries` promise."""

    async def put_feedback(self, entries: Sequence[Feedback], receipt: Receipt | None = None) -> None:
        await self._writer.write_together(
            feedback_log.put_all,
            feedback_log.Put(entries, receipt),
            size_bytes=feedback_log.size_bytes(entries),
            is_synced=True,
            is_alone=True,
        )

    async def remove_feedback(self, feedback_id: str) -> bool:
        receipts = await self._exact.read(lambda connection: erasing.receipts_naming(connection, feedback_id))
        return await self._writer.write(
            lambda connection: erasing.remove_entry(connection, feedback_id, receipts),
            is_synced=True,
            is_alone=True,
        )

    async def find_feedback(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Feedback]:
        if not mentions(where, "deleted_at_us"):
            where = All((where, _NOT_DELETED))
        query = select(FEEDBACK, where, sort, page, tenant, self._dialect)
        return await self._questions.ask(partial(_entries, query=query))

    async def latest_verdicts(self, records: Sequence[RequestRecord], tenant: str | None) -> list[Feedback]:
        return await self._questions.ask(
            lambda connection: feedback_log.latest_verdicts(connection, records, tenant)
        )

    async def feedback_summaries(self, seqs: Sequence[int]) -> dict[int, FeedbackSummary]:
        return await self._questions.ask(lambda connection: feedback_summary.summaries(connection, seqs))

    async def counted_for(self, feedback_ids: Sequence[str]) -> dict[str, RequestRecord]:
        return await self._questions.ask(
            lambda connection: feedback_summary.counted_for(connection, feedback_ids)
        )

    async def feedback_by_ids(self, feedback_ids: Sequence[str]) -> list[Feedback]:
        return await self._lookups.read(
            lambda connection: feedback_log.feedback_by_ids(connection, feedback_ids)
        )

    async def history(self, feedback_id: str) -> list[Feedback]:
        return await self._lookups.read(lambda connection: feedback_log.history(connection, feedback_id))

    async def has_other_grades(self, key_name: str | None) -> bool:
        return await self._lookups.read(
            lambda connection: feedback_log.has_other_grades(connection, key_name)
        )

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        return await self._lookups.read(lambda connection: feedback_log.receipt_of(connection, scope, key))

    async def resolve(
        self,
        ids: Sequence[str],
        tenant: str | None,
        target: Target = Target.TRACE,
        trace_id: str | None = None,
    ) -> dict[str, list[Subject]]:
        def resolve(connection: Connection) -> dict[str, list[Subject]]:
            named = {name: find_subjects(connection, name, tenant, target, trace_id) for name in ids}
            return {name: subjects for name, subjects in named.items() if subjects}

        return await self._lookups.read(resolve)


def _entries(connection: Connection, query: Query) -> list[Feedback]:
    return [feedback_from_row(row) for row in connection.execute(query.sql, query.values)]
