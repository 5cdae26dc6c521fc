"""Audit log: entries are added, and get an outcome once."""

from gateway.models.audit import AuditEntry
from gateway.models.filters import Filter, Page, Sort
from gateway.store.database import Database
from gateway.store.filters import select_rows
from gateway.store.rows import AUDIT_ROWS
from gateway.store.schema import AUDIT, quote_columns

_INSERT_ENTRY = (
    f"INSERT INTO audit ({quote_columns(AUDIT.columns)}) VALUES ({', '.join('?' * len(AUDIT.columns))})"
    " ON CONFLICT (audit_id) DO NOTHING"
)
_SET_OUTCOME = "UPDATE audit SET outcome = ? WHERE audit_id = ? AND outcome IS NULL"


class SqlAudit(Database):
    """Audit entries."""

    async def begin_audit(self, entry: AuditEntry) -> None:
        row = AUDIT_ROWS.to_row(entry)
        await self._writer.write(lambda connection: connection.execute(_INSERT_ENTRY, row), is_synced=True)

    async def end_audit(self, audit_id: str, outcome: str) -> None:
        values = (outcome, audit_id)
        await self._writer.write(lambda connection: connection.execute(_SET_OUTCOME, values), is_synced=True)

    async def find_audit(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[AuditEntry]:
        query = select_rows(AUDIT, where, sort, page, tenant, self._dialect)
        rows = await self._replica.query(lambda connection: connection.fetch_all(query.sql, query.values))
        return [AUDIT_ROWS.from_row(row) for row in rows]
