"""The memory of the gateway: what was proxied, what was said about it, and the keys made at run time.

Here belongs all that knows SQL, columns or files on disk, and nothing that knows HTTP or the meaning of a
vote. The rules above see `base.Store` alone; `app.py` and the command line open one with `open_store`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import BadInput, StoreUnavailable
from gateway.models.addresses import is_server_url, local_database_name
from gateway.store.backup import (
    ReportPages,
    RestoreResult,
    back_up_database,
    inspect_database_file,
    restore_database,
)
from gateway.store.base import CopyInfo, Decode, Store, StoreInfo, leave_encoded
from gateway.store.journal import Journal
from gateway.store.locks import (
    WorkerSlots,
    acquire_file_slots,
    database_path,
    has_live_worker,
    journal_file,
    journal_files,
    sibling_path,
)
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.store import SqliteWorkerSlots

__all__ = [
    "CopyInfo",
    "RestoreResult",
    "StoreInfo",
    "WorkerSlots",
    "acquire_worker_slots",
    "back_up_store",
    "check_driver",
    "exports_path",
    "has_journaled_rows",
    "inspect_store",
    "is_in_use",
    "journal_path",
    "measure_store",
    "open_store",
    "restore_store",
]

HERE = Path()


async def open_store(
    url: str,
    decode: Decode = leave_encoded,
    worker_slots: tuple[int, ...] = (0,),
    read_url: str | None = None,
    query_seconds: float | None = None,
) -> Store:
    """Open the store that `url` names, creating or upgrading its tables as needed.

    Args:
        url: `sqlite:///gateway.db` for a file in the working directory, `sqlite:////var/lib/gateway.db` for an
            absolute one; `postgresql://user@host/database` for a database on a server.
        decode: undoes the content-encoding of bodies where their text is searched.
        worker_slots: the numbers of a claim. What is stored is stored under the first; what is uninterpreted under
            any of them is to be interpreted here.
        read_url: a replica of a database on a server, which answers queries; None: the database itself does.
        query_seconds: how long a question may take before it is interrupted; None: as long as it does.

    Raises:
        BadInput: the URL is not of that form.
        StoreUnavailable: the database cannot be written, is none of ours, or is of a newer version; or the driver
            for it is not installed.
    """
    if is_server_url(url):
        with _explain_missing_driver():
            from gateway.store.postgres import open_postgres
        return await open_postgres(url, decode, worker_slots, read_url, query_seconds)
    return await open_sqlite(database_path(url), decode, worker_slots, query_seconds)


@contextmanager
def _explain_missing_driver() -> Iterator[None]:
    """Say what to install where PostgreSQL's driver is imported and is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            "PostgreSQL's driver is not installed.", hint="pip install 'feedback-gateway[postgres]'"
        ) from error


def check_driver(url: str) -> None:
    """Raise StoreUnavailable if what the store takes is not installed."""
    if is_server_url(url):
        with _explain_missing_driver():
            import gateway.store.postgres  # noqa: F401


def acquire_worker_slots(url: str, number: int, workers: int, local_dir: Path = HERE) -> WorkerSlots:
    """Become worker `number` of a gateway with so many workers, or if that is taken another one. Blocks.

    Args:
        local_dir: where the files of a store lie that is none itself.

    Raises:
        StoreUnavailable: the store, or the files that tell who holds which number, cannot be used.
    """
    files = acquire_file_slots(_local_path(url, local_dir), number, workers)
    if not is_server_url(url):
        return SqliteWorkerSlots(database_path(url), files)
    try:
        with _explain_missing_driver():
            from gateway.store.postgres.store import LeasedWorkerSlots
        return LeasedWorkerSlots(url, files)
    except BaseException:
        files.release()
        raise


def is_in_use(url: str, local_dir: Path = HERE) -> bool:
    """Tell whether a gateway of this machine works on the store."""
    return has_live_worker(_local_path(url, local_dir))


def journal_path(url: str, worker: int, local_dir: Path = HERE) -> Path:
    """Return the file beside the store that takes a worker's exchanges while the store cannot."""
    return journal_file(_local_path(url, local_dir), worker)


def has_journaled_rows(url: str, local_dir: Path = HERE) -> bool:
    """Tell whether exchanges of any worker wait in a file beside the store, or on this machine."""
    return any(not Journal(path).is_empty for path in journal_files(_local_path(url, local_dir)))


def exports_path(url: str, local_dir: Path = HERE) -> Path:
    """Return the folder beside the store in which exports lie."""
    return sibling_path(_local_path(url, local_dir), ".exports")


def _local_path(url: str, local_dir: Path) -> Path:
    """The file of a store, or the one that would be it if it had one; others lie beside it."""
    return local_dir.absolute() / local_database_name(url) if is_server_url(url) else database_path(url)


def back_up_store(url: str, target: Path, report: ReportPages, *, overwrite: bool) -> CopyInfo:
    """Copy the store as it is now into a file, whoever works on it meanwhile. Blocks.

    Raises:
        BadInput: the store is no file.
        NotFound: there is no store.
        Conflict: the file is there already.
        StoreUnavailable: the store cannot be read, or the file not be written.
    """
    _refuse_server(url, "pg_dump copies it, also while it is in use.")
    return back_up_database(database_path(url), target, report, overwrite=overwrite)


def restore_store(url: str, backup: Path, *, set_aside: bool) -> RestoreResult:
    """Put a backup in the store's place. Blocks.

    Args:
        set_aside: whether a store that is there already may be given another name.

    Raises:
        BadInput: the store is no file.
        NotFound: there is no backup.
        Conflict: a gateway works on the store, or it is there already.
        StoreUnavailable: the backup is damaged or none of ours, or the store cannot be written.
    """
    _refuse_server(url, "pg_restore brings a dump back.")
    return restore_database(database_path(url), backup, set_aside=set_aside)


def inspect_store(url: str) -> StoreInfo:
    """Look at a store, whoever works on it meanwhile, and change nothing. Blocks; reads all of it.

    Raises:
        StoreUnavailable: it cannot be read, belongs to another program, is of a newer version, or is damaged.
    """
    if not is_server_url(url):
        return inspect_database_file(database_path(url))
    with _explain_missing_driver():
        from gateway.store.postgres.maintenance import inspect_server
    return inspect_server(url)


def measure_store(url: str) -> int:
    """Return how many bytes a store takes on its disk. Blocks.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    if not is_server_url(url):
        return database_path(url).stat().st_size if database_path(url).exists() else 0
    with _explain_missing_driver():
        from gateway.store.postgres.maintenance import measure_server
    return measure_server(url)


def _refuse_server(url: str, hint: str) -> None:
    if is_server_url(url):
        raise BadInput("the store is a database on a server, which this command cannot copy.", hint=hint)
