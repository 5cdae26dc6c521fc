"""Files beside a database, and locks between processes: write lock, database lock, worker slots."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from glob import escape
from itertools import chain, count
from pathlib import Path
from typing import Protocol

from gateway.errors import BadInput, Conflict, StoreUnavailable
from gateway.models.addresses import SQLITE_PREFIX

SQLITE_FILE_SUFFIXES = ("-wal", "-shm", "-journal")
"""Endings of the files in which SQLite has commits that are not in the database yet, or what undoes them. They
belong to one database, and spoil any other that is put in its place."""

_STORE_FILE_SUFFIXES = (*SQLITE_FILE_SUFFIXES, ".lock", ".spill", ".exports")


def database_path(url: str) -> Path:
    """Return the absolute path of the database that a URL names. Raises BadInput if the URL is of another form."""
    name = url.removeprefix(SQLITE_PREFIX)
    if name == url or not name or name.startswith(":memory:"):
        # It is not shown, since it may hold a password.
        raise BadInput(
            "a store is sqlite:/// and the name of a file, or postgresql:// with host and database.",
            field="storage.url",
        )
    return Path(name).absolute()


def sibling_path(file: Path, ending: str) -> Path:
    """Return the file that has a database's name and this ending."""
    return file.with_name(f"{file.name}{ending}")


def journal_file(file: Path, worker: int) -> Path:
    """Return the file beside a database that takes a worker's exchanges while the database cannot."""
    return sibling_path(file, f".spill.{worker}" if worker else ".spill")


def journal_files(file: Path) -> list[Path]:
    """Return the files beside a database in which rows may wait."""
    return sorted(file.parent.glob(f"{escape(file.name)}.spill*"))


def is_part_of_store(file: Path, path: Path) -> bool:
    """Tell whether a path is a store's database, or is taken for a part of the store by its name."""
    path, file = path.resolve(), file.resolve()
    rest = path.name.removeprefix(file.name)
    return path == file or (
        path.parent == file.parent and rest != path.name and rest.startswith(_STORE_FILE_SUFFIXES)
    )


_CLOSED = -1


class FileLock:
    """A lock that one at a time holds, or several that share it, among all processes and all objects of this class.

    Raises:
        StoreUnavailable: the file cannot be opened, or its file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def acquire(self) -> None:
        """Take the lock; if another holds it, wait in line until it is let go of."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise self._unusable(error) from error

    def try_acquire(self) -> bool:
        """Take the lock if nobody holds it; tell whether it is taken."""
        return self._try(fcntl.LOCK_EX)

    def try_share(self) -> bool:
        """Take the lock together with others that do so, if nobody has it alone; tell whether it is taken."""
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        """Let the next in line have the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock for good; doing it again changes nothing."""
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
    """Return a lock that keeps the database in its place for as long as it is held.

    Raises:
        StoreUnavailable: the database is being replaced now, or the file for the lock cannot be used.
    """
    lock = _open_database_lock(path)
    if not lock.try_share():
        lock.close()
        raise StoreUnavailable(f"the database {path} is being replaced.", hint="Try again when that is done.")
    return lock


@contextmanager
def database_locked_exclusively(path: Path) -> Iterator[None]:
    """Keep everybody from opening the database for as long as the block lasts. Raises Conflict if somebody has it
    open."""
    with closing(_open_database_lock(path)) as lock:
        if not lock.try_acquire():
            raise Conflict(f"a gateway or another command has {path} open.", hint="Stop it first.")
        yield


def _open_database_lock(path: Path) -> FileLock:
    return FileLock(sibling_path(path, ".lock.open"))


class WriteLock:
    """One writer's turns at a file. Taken and ended on one thread, watched from others.

    Args:
        path: the database.
        patience_seconds: how long its turn may be waited for. Nothing can call a thread back that waits, so this
            is for those who wait for the thread.
    """

    def __init__(self, path: Path, max_wait_seconds: float) -> None:
        self._lock = FileLock(sibling_path(path, ".lock"))
        self._max_wait_seconds = max_wait_seconds
        self._waiting_since: float | None = None

    def acquire(self) -> None:
        """Wait until no other process has the turn, and take it. Raises StoreUnavailable where files cannot be
        locked."""
        self._waiting_since = time.monotonic()
        try:
            self._lock.acquire()
        finally:
            self._waiting_since = None

    def release(self) -> None:
        """Let others write."""
        self._lock.release()

    def wait_left(self) -> float:
        """Return for how many seconds the turn may still be waited for; all of them while nobody waits for it."""
        since = self._waiting_since
        return self._max_wait_seconds if since is None else since + self._max_wait_seconds - time.monotonic()

    def close(self) -> None:
        """Take no turns any more."""
        self._lock.close()


class WorkerSlots(Protocol):
    """The numbers that a process holds: its own first, then those of workers that will not come back."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers that are held."""

    @property
    def journals(self) -> tuple[Path, ...]:
        """The files with rows that wait: that of this process first, then those that were left behind here."""

    def renew(self) -> int:
        """Show that this process is alive, and return how many rows it has taken over meanwhile from others that
        are not. Blocks. To be called every few seconds.

        Raises:
            StoreUnavailable: nobody can be shown anything now.
        """

    def release(self) -> None:
        """Let others have the numbers. Blocks."""


class FileWorkerSlots:
    """Numbers that are held by locks on files.

    Args:
        siblings: numbers that other workers of the same gateway will come for.
    """

    def __init__(self, path: Path, locks: dict[int, FileLock], sibling_numbers: Collection[int]) -> None:
        self._path = path
        self._locks = locks
        self._sibling_numbers = sibling_numbers

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers that are held: that of this process first."""
        return tuple(self._locks)

    @property
    def journals(self) -> tuple[Path, ...]:
        """The files with rows that wait under these numbers."""
        return tuple(journal_file(self._path, number) for number in self._locks)

    def abandoned_numbers(self) -> list[int]:
        """Return the numbers that were held once, are not now, and will not be by a worker of this gateway.

        Raises:
            StoreUnavailable: the files cannot be locked.
        """
        others = [
            each for each in _known_numbers(self._path) if each not in (*self._locks, *self._sibling_numbers)
        ]
        abandoned_numbers: list[int] = []
        for number, lock in _acquire_free(self._path, others):
            # At once, since who comes for the number now would take another one, and not find the spill file.
            lock.close()
            abandoned_numbers.append(number)
        return abandoned_numbers

    def release(self) -> None:
        """Let others have the numbers."""
        while self._locks:
            self._locks.popitem()[1].close()


def acquire_file_slots(path: Path, preferred: int, workers: int) -> FileWorkerSlots:
    """Claim a number at the store in this file, and all that nobody holds and nobody will come for.

    Args:
        wanted: the number to have. One from `workers` up is taken if another gateway on the same store has it.
        workers: how many workers the gateway has; their numbers are those below.

    Raises:
        StoreUnavailable: the files that tell who holds which number cannot be used.
    """
    locks = dict([next(_acquire_free(path, chain([preferred], count(workers))))])
    locks |= _acquire_free(
        path, [number for number in _known_numbers(path) if number >= workers and number not in locks]
    )
    return FileWorkerSlots(path, locks, [number for number in range(workers) if number != preferred])


def has_live_worker(path: Path) -> bool:
    """Tell whether a gateway of this machine works on the store in this file."""
    for number in _known_numbers(path) if path.parent.is_dir() else ():
        lock = FileLock(sibling_path(path, f".lock.{number}"))
        try:
            if not lock.try_share():
                return True
        finally:
            lock.close()
    return False


def _acquire_free(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, FileLock]]:
    """Take the locks of those numbers that nobody holds."""
    for number in numbers:
        lock = FileLock(sibling_path(path, f".lock.{number}"))
        if lock.try_acquire():
            yield number, lock
        else:
            lock.close()


def _known_numbers(path: Path) -> list[int]:
    """The numbers that were ever held."""
    prefix = f"{path.name}.lock."
    endings = (
        file.name.removeprefix(prefix) for file in path.parent.iterdir() if file.name.startswith(prefix)
    )
    return sorted(int(ending) for ending in endings if ending.isdecimal())
