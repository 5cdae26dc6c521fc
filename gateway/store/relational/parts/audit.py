"""The audit log."""

from __future__ import annotations

from gateway.domain.audit import AuditEntry
from gateway.domain.filter import Filter, Page, Sort
from gateway.store.relational import audit_table
from gateway.store.relational.parts.open_database import OpenDatabase
from gateway.store.rows import audit_from_row
from gateway.store.sql import select
from gateway.store.tables import AUDIT


class AuditLog(OpenDatabase):
    """Keeps what `AuditStore` promises."""

    async def begin_audit(self, entry: AuditEntry) -> None:
        await self._writer.write(lambda connection: audit_table.begin(connection, entry), is_synced=True)

    async def end_audit(self, audit_id: str, outcome: str) -> None:
        await self._writer.write(
            lambda connection: audit_table.end(connection, audit_id, outcome), is_synced=True
        )

    async def find_audit(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[AuditEntry]:
        query = select(AUDIT, where, sort, page, tenant, self._dialect)
        return await self._questions.ask(
            lambda connection: [audit_from_row(row) for row in connection.execute(query.sql, query.values)]
        )
