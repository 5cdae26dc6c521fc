"""Which worker a process is: several may share a store, each under a number that no other has meanwhile.

To a number belong the rows that were stored under it and are not interpreted yet, and a spill file. So whoever has
the number next finds what was left behind, and nobody touches what a running worker has in hand. A number is
held by a lock, which the kernel takes back from a process that dies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Protocol

from gateway.store.file_lock import FileLock
from gateway.store.files import beside, spill_of


class Claim(Protocol):
    """The numbers that a process holds: its own first, then those of workers that will not come back."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers that are held."""

    @property
    def spills(self) -> tuple[Path, ...]:
        """The files with rows that wait: that of this process first, then those that were left behind here."""

    def renew(self) -> int:
        """Show that this process is alive, and return how many rows it has taken over meanwhile from others that
        are not. Blocks. To be called every few seconds.

        Raises:
            StoreUnavailable: nobody can be shown anything now.
        """

    def give_up(self) -> None:
        """Let others have the numbers. Blocks."""


class FileClaim:
    """Numbers that are held by locks on files.

    Args:
        siblings: numbers that other workers of the same gateway will come for.
    """

    def __init__(self, path: Path, locks: dict[int, FileLock], siblings: Collection[int]) -> None:
        self._path = path
        self._locks = locks
        self._siblings = siblings

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers that are held: that of this process first."""
        return tuple(self._locks)

    @property
    def spills(self) -> tuple[Path, ...]:
        """The files with rows that wait under these numbers."""
        return tuple(spill_of(self._path, number) for number in self._locks)

    def deserted(self) -> list[int]:
        """Return the numbers that were held once, are not now, and will not be by a worker of this gateway.

        Raises:
            StoreUnavailable: the files cannot be locked.
        """
        others = [each for each in _known(self._path) if each not in (*self._locks, *self._siblings)]
        deserted: list[int] = []
        for number, lock in _free(self._path, others):
            # At once, since who comes for the number now would take another one, and not find the spill file.
            lock.close()
            deserted.append(number)
        return deserted

    def give_up(self) -> None:
        """Let others have the numbers."""
        while self._locks:
            self._locks.popitem()[1].close()


def claim_number(path: Path, wanted: int, workers: int) -> FileClaim:
    """Claim a number at the store in this file, and all that nobody holds and nobody will come for.

    Args:
        wanted: the number to have. One from `workers` up is taken if another gateway on the same store has it.
        workers: how many workers the gateway has; their numbers are those below.

    Raises:
        StoreUnavailable: the files that tell who holds which number cannot be used.
    """
    locks = dict([next(_free(path, chain([wanted], count(workers))))])
    locks |= _free(path, [number for number in _known(path) if number >= workers and number not in locks])
    return FileClaim(path, locks, [number for number in range(workers) if number != wanted])


def is_claimed(path: Path) -> bool:
    """Tell whether a gateway of this machine works on the store in this file."""
    for number in _known(path) if path.parent.is_dir() else ():
        lock = FileLock(beside(path, f".lock.{number}"))
        try:
            if not lock.share_if_free():
                return True
        finally:
            lock.close()
    return False


def _free(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, FileLock]]:
    """Take the locks of those numbers that nobody holds."""
    for number in numbers:
        lock = FileLock(beside(path, f".lock.{number}"))
        if lock.take_if_free():
            yield number, lock
        else:
            lock.close()


def _known(path: Path) -> list[int]:
    """The numbers that were ever held."""
    prefix = f"{path.name}.lock."
    endings = (
        file.name.removeprefix(prefix) for file in path.parent.iterdir() if file.name.startswith(prefix)
    )
    return sorted(int(ending) for ending in endings if ending.isdecimal())
