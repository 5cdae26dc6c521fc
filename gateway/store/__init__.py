"""The memory of the gateway: what was proxied, what was said about it, and the keys made at run time.

Here belongs all that knows SQL, columns or files on disk, and nothing that knows HTTP or the meaning of a
vote. The rules above see `base.Store` alone; `app.py` and the command line open one with `open_store`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.domain.database_url import is_server, local_name_of
from gateway.errors import BadInput, StoreUnavailable
from gateway.store.backup import Restored, back_up, restore
from gateway.store.base import Decode, Store, as_sent
from gateway.store.claim import Claim, claim_number, is_claimed
from gateway.store.condition import Copied, Examined
from gateway.store.files import beside, file_of, spill_of, spills_of
from gateway.store.spill import Spill
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.claim import SqliteClaim
from gateway.store.sqlite.copying import Progress
from gateway.store.sqlite.examining import examine_database

__all__ = [
    "Claim",
    "Copied",
    "Examined",
    "Restored",
    "are_rows_spilled",
    "back_up_store",
    "check_driver",
    "claim_worker",
    "examine_store",
    "exports_path",
    "is_served",
    "measure_store",
    "open_store",
    "restore_store",
    "spill_path",
]

HERE = Path()


async def open_store(
    url: str,
    decode: Decode = as_sent,
    workers: tuple[int, ...] = (0,),
    read_url: str | None = None,
) -> Store:
    """Open the store that `url` names, creating or upgrading its tables as needed.

    Args:
        url: `sqlite:///gateway.db` for a file in the working directory, `sqlite:////var/lib/gateway.db` for an
            absolute one; `postgresql://user@host/database` for a database on a server.
        decode: undoes the content-encoding of bodies where their text is searched.
        workers: the numbers of a claim. What is stored is stored under the first; what is uninterpreted under
            any of them is to be interpreted here.
        read_url: a replica of a database on a server, which answers queries; None: the database itself does.

    Raises:
        BadInput: the URL is not of that form.
        StoreUnavailable: the database cannot be written, is none of ours, or is of a newer version; or the driver
            for it is not installed.
    """
    if is_server(url):
        with _driver_needed():
            from gateway.store.postgres import open_postgres
        return await open_postgres(url, decode, workers, read_url)
    return await open_sqlite(file_of(url), decode, workers)


@contextmanager
def _driver_needed() -> Iterator[None]:
    """Say what to install where PostgreSQL's driver is imported and is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            "PostgreSQL's driver is not installed.", hint="pip install 'feedback-gateway[postgres]'"
        ) from error


def check_driver(url: str) -> None:
    """Raise StoreUnavailable if what the store takes is not installed."""
    if is_server(url):
        with _driver_needed():
            import gateway.store.postgres  # noqa: F401


def claim_worker(url: str, number: int, workers: int, local_dir: Path = HERE) -> Claim:
    """Become worker `number` of a gateway with so many workers, or if that is taken another one. Blocks.

    Args:
        local_dir: where the files of a store lie that is none itself.

    Raises:
        StoreUnavailable: the store, or the files that tell who holds which number, cannot be used.
    """
    files = claim_number(_local(url, local_dir), number, workers)
    if not is_server(url):
        return SqliteClaim(file_of(url), files)
    try:
        with _driver_needed():
            from gateway.store.postgres.leases import LeaseClaim
        return LeaseClaim(url, files)
    except BaseException:
        files.give_up()
        raise


def is_served(url: str, local_dir: Path = HERE) -> bool:
    """Tell whether a gateway of this machine works on the store."""
    return is_claimed(_local(url, local_dir))


def spill_path(url: str, worker: int, local_dir: Path = HERE) -> Path:
    """Return the file beside the store that takes a worker's exchanges while the store cannot."""
    return spill_of(_local(url, local_dir), worker)


def are_rows_spilled(url: str, local_dir: Path = HERE) -> bool:
    """Tell whether exchanges of any worker wait in a file beside the store, or on this machine."""
    return any(not Spill(path).is_empty for path in spills_of(_local(url, local_dir)))


def exports_path(url: str, local_dir: Path = HERE) -> Path:
    """Return the folder beside the store in which exports lie."""
    return beside(_local(url, local_dir), ".exports")


def _local(url: str, local_dir: Path) -> Path:
    """The file of a store, or the one that would be it if it had one; others lie beside it."""
    return local_dir.absolute() / local_name_of(url) if is_server(url) else file_of(url)


def back_up_store(url: str, target: Path, tell: Progress, *, overwrite: bool) -> Copied:
    """Copy the store as it is now into a file, whoever works on it meanwhile. Blocks.

    Raises:
        BadInput: the store is no file.
        NotFound: there is no store.
        Conflict: the file is there already.
        StoreUnavailable: the store cannot be read, or the file not be written.
    """
    _refuse_server(url, "pg_dump copies it, also while it is in use.")
    return back_up(file_of(url), target, tell, overwrite=overwrite)


def restore_store(url: str, backup: Path, *, set_aside: bool) -> Restored:
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
    return restore(file_of(url), backup, set_aside=set_aside)


def examine_store(url: str) -> Examined:
    """Look at a store, whoever works on it meanwhile, and change nothing. Blocks; reads all of it.

    Raises:
        StoreUnavailable: it cannot be read, belongs to another program, is of a newer version, or is damaged.
    """
    if not is_server(url):
        return examine_database(file_of(url))
    with _driver_needed():
        from gateway.store.postgres.examining import examine_server
    return examine_server(url)


def measure_store(url: str) -> int:
    """Return how many bytes a store takes on its disk. Blocks.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    if not is_server(url):
        return file_of(url).stat().st_size if file_of(url).exists() else 0
    with _driver_needed():
        from gateway.store.postgres.examining import measure_server
    return measure_server(url)


def _refuse_server(url: str, hint: str) -> None:
    if is_server(url):
        raise BadInput("the store is a database on a server, which this command cannot copy.", hint=hint)
