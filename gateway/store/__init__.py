"""The store: everything that knows SQL, columns or files on disk."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import BadInput, StoreUnavailable
from gateway.models.addresses import is_server_url, local_database_name
from gateway.store import backup, locks
from gateway.store.base import CopyInfo as CopyInfo
from gateway.store.base import Decode, Store, leave_encoded
from gateway.store.base import StoreInfo as StoreInfo
from gateway.store.journal_files import gateway_folders, is_gateway_alive
from gateway.store.sqlite.analysts import AnalystFile as AnalystFile
from gateway.store.sqlite.analysts import ReadTexts, open_file_for_analysts
from gateway.store.sqlite.connection import CACHE_KIB
from gateway.store.sqlite.store import open_sqlite

HERE = Path()


# For who reads a store once, from its first row to its last.
READ_ONCE_CACHE_KIB = 2 * 1024


async def open_store(
    url: str,
    decode: Decode = leave_encoded,
    read_url: str | None = None,
    query_seconds: float | None = None,
    cache_kib: int = CACHE_KIB,
) -> Store:
    """Open a store, creating or upgrading its tables as needed. Raises BadInput or StoreUnavailable.

    Args:
        url: `sqlite:///gateway.db`, `sqlite:////var/lib/gateway.db` or `postgresql://user@host/database`.
        decode: undoes the content-encoding of bodies where their text is searched.
        read_url: a replica on a server that answers queries.
        query_seconds: time limit of a query; None for none.
        cache_kib: pages of a file that each connection keeps for its next query.
    """
    if is_server_url(url):
        with _explain_missing_driver():
            from gateway.store.postgres.store import PostgresStore, open_connection
        connection = await asyncio.to_thread(open_connection, url)
        return PostgresStore(connection, url, decode, read_url, query_seconds)
    return await open_sqlite(locks.database_path(url), decode, query_seconds, cache_kib)


@contextmanager
def _explain_missing_driver() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            "PostgreSQL's driver is not installed.", hint="pip install 'feedback-gateway[postgres]'"
        ) from error


def check_driver(url: str) -> None:
    """Raise StoreUnavailable if the driver is not installed."""
    if is_server_url(url):
        with _explain_missing_driver():
            import gateway.store.postgres.store  # noqa: F401


def is_in_use(url: str, local_dir: Path = HERE) -> bool:
    """Tell whether a gateway of this machine uses the store."""
    return any(map(is_gateway_alive, gateway_folders(journal_root(url, local_dir))))


def journal_root(url: str, local_dir: Path = HERE) -> Path:
    """Return the folder of the journals of all gateways of this machine on the store."""
    return locks.sibling_path(local_path(url, local_dir), ".journal")


def exports_path(url: str, local_dir: Path = HERE) -> Path:
    """Return the folder of export files beside the store."""
    return locks.sibling_path(local_path(url, local_dir), ".exports")


def local_path(url: str, local_dir: Path = HERE) -> Path:
    """Return the path that the names of local files of the store begin with."""
    return local_dir.absolute() / local_database_name(url) if is_server_url(url) else locks.database_path(url)


def back_up_store(url: str, target: Path, report: backup.ReportPages, *, overwrite: bool) -> CopyInfo:
    """Copy a store file, also while in use. Blocks. Raises BadInput, NotFound, Conflict or StoreUnavailable."""
    _refuse_server(url, "pg_dump copies it, also while it is in use.")
    return backup.back_up_database(locks.database_path(url), target, report, overwrite=overwrite)


def restore_store(url: str, copy: Path, *, set_aside: bool) -> backup.RestoreResult:
    """Put a backup in the place of the store, which `set_aside` allows to rename. Blocks. Raises like
    `back_up_store`."""
    _refuse_server(url, "pg_restore brings a dump back.")
    return backup.restore_database(locks.database_path(url), copy, set_aside=set_aside)


def open_for_analysts(url: str, read_texts: ReadTexts | None = None) -> AnalystFile:
    """Open a store file for analysts' tools, without the texts of bodies unless `read_texts` reads them. Blocks.
    Raises BadInput or StoreUnavailable."""
    _refuse_server(url, "Tools for PostgreSQL read the same views there.")
    return open_file_for_analysts(locks.database_path(url), read_texts)


def inspect_store(url: str) -> StoreInfo:
    """Inspect a store without changing it. Blocks; reads all of it. Raises StoreUnavailable."""
    if not is_server_url(url):
        return backup.inspect_database_file(locks.database_path(url))
    with _explain_missing_driver():
        from gateway.store.postgres.maintenance import inspect_server
    return inspect_server(url)


def measure_store(url: str) -> int:
    """Return the size of a store in bytes. Blocks. Raises StoreUnavailable."""
    if not is_server_url(url):
        return locks.database_path(url).stat().st_size if locks.database_path(url).exists() else 0
    with _explain_missing_driver():
        from gateway.store.postgres.maintenance import measure_server
    return measure_server(url)


def _refuse_server(url: str, hint: str) -> None:
    if is_server_url(url):
        raise BadInput(
            "the store is a database on a server, and this command is for SQLite files.", hint=hint
        )
