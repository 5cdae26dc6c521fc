"""Export jobs and the key that signs links to their files."""

from gateway.errors import Conflict
from gateway.models.export import Export, ExportStatus
from gateway.models.filters import Filter, Page, Sort
from gateway.models.webhooks import Event, EventType
from gateway.store.database import Database
from gateway.store.dialect import Connection
from gateway.store.filters import count_rows, select_rows
from gateway.store.rows import EXPORT_ROWS, MAX_INTEGER
from gateway.store.schema import EXPORTS, quote_columns
from gateway.store.webhooks import add_event

_INSERT_EXPORT = (
    f"INSERT INTO exports ({quote_columns(EXPORTS.columns)})"
    f" VALUES ({', '.join('?' * len(EXPORTS.columns))}) ON CONFLICT DO NOTHING"
)
_SET_COLUMNS = ", ".join(f'"{column}" = ?' for column in EXPORTS.columns)
_UPDATE_EXPORT = f"UPDATE exports SET {_SET_COLUMNS} WHERE export_id = ? AND version = ?"
_LINK_KEY = "SELECT key FROM export_link_key"
_INSERT_LINK_KEY = "INSERT INTO export_link_key (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING"


def put_export(connection: Connection, export: Export) -> None:
    """Store a version of a job. Raises Conflict where it does not follow the stored version."""
    row = EXPORT_ROWS.to_row(export)
    if export.version == 1:
        stored = connection.execute(_INSERT_EXPORT, row)
    else:
        stored = connection.execute(_UPDATE_EXPORT, (*row, export.export_id, export.version - 1))
    if not stored.rowcount:
        raise Conflict(f"export {export.export_id} is not at version {export.version - 1}.")
    if export.status in (ExportStatus.SUCCESS, ExportStatus.FAILED):
        add_event(connection, _done_event(export))


def _done_event(export: Export) -> Event:
    data = {
        "export_id": export.export_id,
        "status": export.status.value,
        "description": export.description,
        "rows": export.rows_done,
        "error": export.error,
    }
    return Event(type=EventType.EXPORT_DONE, tenant=export.tenant, data=data, at_us=export.updated_at_us)


def link_key(connection: Connection, new_key: bytes) -> bytes:
    """Store `new_key` unless there is a key, and return the key."""
    connection.execute(_INSERT_LINK_KEY, (new_key,))
    key: bytes = connection.execute(_LINK_KEY).fetchone()[0]
    return key


class SqlExports(Database):
    """Export jobs."""

    async def put_export(self, export: Export) -> None:
        await self._write_exclusively(put_export, export)

    async def find_exports(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Export]:
        query = select_rows(EXPORTS, where, sort, page, tenant, self._dialect)
        return [EXPORT_ROWS.from_row(row) for row in await self._primary.fetch_all(query.sql, query.values)]

    async def count_exports(self, where: Filter, tenant: str | None) -> int:
        query = count_rows(select_rows(EXPORTS, where, Sort(), Page(MAX_INTEGER), tenant, self._dialect))
        number: int = (await self._primary.fetch_one(query.sql, query.values))[0]
        return number

    async def link_key(self, new_key: bytes) -> bytes:
        return await self._write_exclusively(link_key, new_key)
