"""Who has a database open. All who do share a lock on a file beside it, so that whoever puts another database in
its place knows that nobody works on the old one, and that nobody comes before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.errors import Conflict, StoreUnavailable
from gateway.store.file_lock import FileLock
from gateway.store.files import beside


def occupy(path: Path) -> FileLock:
    """Return a lock that keeps the database in its place for as long as it is held.

    Raises:
        StoreUnavailable: the database is being replaced now, or the file for the lock cannot be used.
    """
    lock = _lock(path)
    if not lock.share_if_free():
        lock.close()
        raise StoreUnavailable(f"the database {path} is being replaced.", hint="Try again when that is done.")
    return lock


@contextmanager
def vacated(path: Path) -> Iterator[None]:
    """Keep everybody from opening the database for as long as the block lasts. Raises Conflict if somebody has it
    open."""
    with closing(_lock(path)) as lock:
        if not lock.take_if_free():
            raise Conflict(f"a gateway or another command has {path} open.", hint="Stop it first.")
        yield


def _lock(path: Path) -> FileLock:
    return FileLock(beside(path, ".lock.open"))
