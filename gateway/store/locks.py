"""Files beside a database, and locks between processes: write lock, database lock."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.errors import BadInput, Conflict, StoreUnavailable
from gateway.models.addresses import SQLITE_PREFIX

# Files with commits that are not in the database yet, or with what undoes them. They spoil another database that is
# put in its place.
SQLITE_FILE_SUFFIXES = ("-wal", "-shm", "-journal")

_STORE_FILE_SUFFIXES = (*SQLITE_FILE_SUFFIXES, ".lock", ".spill", ".exports", ".journal")


def database_path(url: str) -> Path:
    """Return the path of the database file in a URL. Raises BadInput."""
    name = url.removeprefix(SQLITE_PREFIX)
    if name == url or not name or name.startswith(":memory:"):
        # It is not shown, since it may hold a password.
        raise BadInput(
            "a store is sqlite:/// and the name of a file, or postgresql:// with host and database.",
            field="storage.url",
        )
    return Path(name).absolute()


def sibling_path(file: Path, ending: str) -> Path:
    """Return the path of a file with this ending appended."""
    return file.with_name(f"{file.name}{ending}")


def is_part_of_store(file: Path, path: Path) -> bool:
    """Tell whether a path is a database or one of its files."""
    path, file = path.resolve(), file.resolve()
    rest = path.name.removeprefix(file.name)
    is_beside = path.parent == file.parent and rest != path.name
    return path == file or (is_beside and rest.startswith(_STORE_FILE_SUFFIXES))


_CLOSED = -1


class FileLock:
    """A lock between processes, held by one or shared by several. Raises StoreUnavailable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def acquire(self) -> None:
        """Wait in line for the lock."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise self._unusable(error) from error

    def try_acquire(self) -> bool:
        """Take the lock if it is free; tell whether it is taken."""
        return self._try(fcntl.LOCK_EX)

    def try_share(self) -> bool:
        """Share the lock if nobody holds it alone; tell whether it is shared."""
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._unusable(error) from error
        return True

    def _unusable(self, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(
            f"the lock {self._path} cannot be used: {(error.strerror or repr(error)).lower()}.",
            hint="Does its folder exist, and may it be written?",
        )


def lock_database(path: Path) -> FileLock:
    """Return a shared lock that keeps the file in place. Raises StoreUnavailable."""
    lock = _open_database_lock(path)
    if not lock.try_share():
        lock.close()
        raise StoreUnavailable(f"the database {path} is being replaced.", hint="Try again when that is done.")
    return lock


@contextmanager
def database_locked_exclusively(path: Path) -> Iterator[None]:
    """Keep everybody from opening the database. Raises Conflict if somebody has it open."""
    with closing(_open_database_lock(path)) as lock:
        if not lock.try_acquire():
            raise Conflict(f"a gateway or another command has {path} open.", hint="Stop it first.")
        yield


def _open_database_lock(path: Path) -> FileLock:
    return FileLock(sibling_path(path, ".lock.open"))


class WriteLock:
    """The lock for writing to a database file, taken on one thread and watched from others."""

    def __init__(self, path: Path, max_wait_seconds: float) -> None:
        self._lock = FileLock(sibling_path(path, ".lock"))
        self._max_wait_seconds = max_wait_seconds
        self._waiting_since: float | None = None

    def acquire(self) -> None:
        """Wait until no other process has the lock, and take it."""
        self._waiting_since = time.monotonic()
        try:
            self._lock.acquire()
        finally:
            self._waiting_since = None

    def release(self) -> None:
        self._lock.release()

    def wait_left(self) -> float:
        """Return for how many more seconds the lock may be waited for."""
        since = self._waiting_since
        return self._max_wait_seconds if since is None else since + self._max_wait_seconds - time.monotonic()

    def close(self) -> None:
        self._lock.close()
