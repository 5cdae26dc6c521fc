"""The log of requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.domain.exchange import Exchange
from gateway.domain.feedback import Receipt
from gateway.domain.filter import Filter, Page, Sort, mentions
from gateway.domain.request import Facts, Payload, RequestRecord
from gateway.store.relational import feedback_log, request_log, tagging
from gateway.store.relational.connection import Connection
from gateway.store.relational.parts.open_database import OpenDatabase, count_of
from gateway.store.relational.prefilter import clues, rows_among
from gateway.store.rows import record_from_row
from gateway.store.sql import count, select
from gateway.store.tables import REQUESTS

T = TypeVar("T")


class Requests(OpenDatabase):
    """Keeps what `RequestLog`, `LogInserts`, `RequestHistory`, `RequestTags` and `RequestQueries` promise."""

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        if not exchanges:
            return []
        size = sum(map(request_log.size_bytes, exchanges))
        return await self._writer.write(
            lambda connection: request_log.append(connection, self._packer, exchanges, self._workers[0]),
            size_bytes=size,
        )

    async def insert(self, exchanges: Sequence[Exchange], receipt: Receipt | None = None) -> list[int]:
        def insert(connection: Connection) -> list[int]:
            feedback_log.put_feedback(connection, (), receipt)
            return request_log.append(connection, self._packer, exchanges, self._workers[0])

        size = sum(map(request_log.size_bytes, exchanges))
        return await self._writer.write(insert, size_bytes=size, is_synced=True, is_alone=True)

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> list[tuple[int, Facts]]:
        if not facts:
            return []
        size = request_log.ROW_BYTES * len(facts)

        def annotate(connection: Connection) -> list[tuple[int, Facts]]:
            return request_log.annotate(connection, facts, at_us)

        if any(found.previous_response_id is not None for _, found in facts):
            # The answer that one continues may be being interpreted elsewhere.
            return await self._writer.write(annotate, size_bytes=size, is_alone=True)
        return await self._writer.write_lazily(annotate, size_bytes=size)

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        return await self._lookups.read(
            lambda connection: request_log.uninterpreted(connection, self._workers, limit)
        )

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        return await self._lookups.read(lambda connection: request_log.missing(connection, exchanges))

    async def append_missing(self, past: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        if not past:
            return 0
        size = sum(request_log.size_bytes(exchange) for exchange, _ in past)
        return await self._writer.write(
            lambda connection: request_log.append_missing(
                connection, self._packer, past, self._workers[0], at_us
            ),
            size_bytes=size,
            is_alone=True,
        )

    async def find_requests(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> list[RequestRecord]:
        given = clues(where, self._dialect)

        def find(connection: Connection) -> list[RequestRecord]:
            among = rows_among(connection, given)
            query = select(REQUESTS, where, sort, page, tenant, connection.dialect, among=among)
            return [record_from_row(row) for row in connection.execute(query.sql, query.values)]

        return await self._ask(find, in_background=in_background, is_costly=_is_costly(where, sort))

    async def payload(self, seq: int) -> Payload | None:
        return await self._lookups.read(lambda connection: request_log.payload(connection, seq))

    async def count_requests(
        self, where: Filter, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> int:
        given = clues(where, self._dialect)

        def count_them(connection: Connection) -> int:
            among = rows_among(connection, given)
            query = count(REQUESTS, where, page, tenant, connection.dialect, among=among)
            return count_of(connection, query)

        return await self._ask(count_them, in_background=in_background, is_costly=True)

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        def read(connection: Connection) -> dict[int, Payload]:
            kept = {seq: request_log.payload(connection, seq) for seq in seqs}
            return {seq: payload for seq, payload in kept.items() if payload is not None}

        return await self._ask(read, in_background=True)

    async def _ask(
        self, work: Callable[[Connection], T], *, in_background: bool, is_costly: bool = False
    ) -> T:
        if in_background:
            return await self._questions.slow.read(work)
        return await self._questions.ask(work, is_costly=is_costly)

    async def set_property(self, any_id: str, key: str, value: str, tenant: str | None) -> int:
        return await self._writer.write(
            lambda connection: tagging.set_property(connection, any_id, key, value, tenant),
            size_bytes=request_log.ROW_BYTES + len(value),
            is_synced=True,
            is_alone=True,
        )


def _is_costly(where: Filter, sort: Sort) -> bool:
    """Whether the text of bodies is looked into."""
    key: Sort | None = sort
    while key is not None:
        if key.field in REQUESTS.costly:
            return True
        key = key.then
    return any(mentions(where, name) for name in REQUESTS.costly)
