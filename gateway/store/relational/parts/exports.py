"""Jobs of exports."""

from __future__ import annotations

from functools import partial

from gateway.domain.export import Export
from gateway.domain.filter import Filter, Page, Sort
from gateway.store.relational import export_table
from gateway.store.relational.parts.open_database import OpenDatabase, count_of
from gateway.store.rows import export_from_row
from gateway.store.sql import count, select
from gateway.store.tables import EXPORTS
from gateway.store.text import MAX_INTEGER


class Exports(OpenDatabase):
    """Keeps what `ExportStore` promises."""

    async def put_export(self, export: Export) -> None:
        await self._writer.write(
            lambda connection: export_table.put_export(connection, export), is_synced=True, is_alone=True
        )

    async def find_exports(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Export]:
        query = select(EXPORTS, where, sort, page, tenant, self._dialect)
        return await self._lookups.read(
            lambda connection: [export_from_row(row) for row in connection.execute(query.sql, query.values)]
        )

    async def count_exports(self, where: Filter, tenant: str | None) -> int:
        query = count(EXPORTS, where, Page(MAX_INTEGER), tenant, self._dialect)
        return await self._lookups.read(partial(count_of, query=query))

    async def link_key(self, fresh: bytes) -> bytes:
        return await self._writer.write(
            lambda connection: export_table.link_key(connection, fresh), is_synced=True, is_alone=True
        )
