"""Datasets and their versions; a version is written once, in one transaction, and read chunk by chunk."""

from collections.abc import Sequence

from gateway.errors import Conflict
from gateway.models.datasets import Dataset, DatasetChunk, DatasetVersion
from gateway.models.filters import Filter, Page, Sort
from gateway.store.database import Database
from gateway.store.dialect import Connection
from gateway.store.filters import select_rows
from gateway.store.named_settings import NamedSettings
from gateway.store.rows import DATASET_ROWS, DATASET_VERSION_ROWS, clean_text, list_to_json
from gateway.store.schema import DATASETS, quote_columns

_SETTINGS = NamedSettings("datasets", "dataset", DATASET_ROWS, ["dataset_versions", "dataset_additions"])
_VERSION_COLUMNS = DATASET_VERSION_ROWS.columns[1:]
_INSERT_VERSION = (
    f"INSERT INTO dataset_versions ({quote_columns(_VERSION_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(_VERSION_COLUMNS))}) ON CONFLICT DO NOTHING"
)
_INSERT_CHUNK = "INSERT INTO dataset_chunks (version_id, last_seq, requests) VALUES (?, ?, ?)"
_IS_THERE = "SELECT EXISTS (SELECT 1 FROM datasets WHERE dataset_id = ?)"
_VERSIONS = f"SELECT {quote_columns(DATASET_VERSION_ROWS.columns)} FROM dataset_versions WHERE dataset_id"
_CHUNKS = (
    "SELECT last_seq, requests FROM dataset_chunks WHERE version_id = ? AND last_seq > ?"
    " ORDER BY last_seq LIMIT ?"
)
_DELETE_CHUNKS = (
    "DELETE FROM dataset_chunks WHERE version_id IN"
    " (SELECT version_id FROM dataset_versions WHERE dataset_id = ?)"
)


def add_dataset_version(
    connection: Connection, version: DatasetVersion, chunks: Sequence[DatasetChunk]
) -> None:
    """Store a version with its requests. Raises Conflict where the number is taken or the dataset is gone."""
    is_there = connection.execute(_IS_THERE, (version.dataset_id,)).fetchone()[0]
    row = DATASET_VERSION_ROWS.to_row(version)[1:]
    if not (is_there and connection.execute(_INSERT_VERSION, row).rowcount):
        raise Conflict("the dataset was changed or deleted meanwhile.", hint="Try again.")
    rows = [(version.version_id, chunk.last_seq, chunk.requests) for chunk in chunks]
    connection.executemany(_INSERT_CHUNK, rows)


def _delete_dataset(connection: Connection, dataset_id: str) -> bool:
    connection.execute(_DELETE_CHUNKS, (clean_text(dataset_id),))
    return _SETTINGS.delete(connection, dataset_id)


class SqlDatasets(Database):
    """Datasets and their versions."""

    async def add_dataset(self, dataset: Dataset) -> None:
        await self._write_exclusively(_SETTINGS.insert, dataset)

    async def update_dataset(self, dataset: Dataset) -> bool:
        return await self._write_exclusively(_SETTINGS.write, dataset)

    async def delete_dataset(self, dataset_id: str) -> bool:
        return await self._write_exclusively(_delete_dataset, dataset_id)

    async def find_datasets(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Dataset]:
        query = select_rows(DATASETS, where, sort, page, tenant, self._dialect)
        return [DATASET_ROWS.from_row(row) for row in await self._primary.fetch_all(query.sql, query.values)]

    async def add_dataset_version(self, version: DatasetVersion, chunks: Sequence[DatasetChunk]) -> None:
        await self._write_exclusively(add_dataset_version, version, chunks)

    async def dataset_versions(self, *dataset_ids: str) -> list[DatasetVersion]:
        sql = f"{_VERSIONS} {self._dialect.in_texts('?')} ORDER BY number DESC"
        rows = await self._primary.fetch_all(sql, (list_to_json(dataset_ids),))
        return [DATASET_VERSION_ROWS.from_row(row) for row in rows]

    async def dataset_chunks(self, version_id: str, after: int, limit: int) -> list[DatasetChunk]:
        values = (clean_text(version_id), after, limit)
        rows = await self._primary.read(lambda connection: connection.fetch_all(_CHUNKS, values))
        return [DatasetChunk(*row) for row in rows]
