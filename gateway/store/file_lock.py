"""Locks between processes, which the kernel takes back from one that dies, however it dies (flock(2)).

A lock is on a file that is empty and is never removed: who had opened it before would go on alone otherwise.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.errors import StoreUnavailable

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

    def take(self) -> None:
        """Take the lock; if another holds it, wait in line until it is let go of."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise self._unusable(error) from error

    def take_if_free(self) -> bool:
        """Take the lock if nobody holds it; tell whether it is taken."""
        return self._try(fcntl.LOCK_EX)

    def share_if_free(self) -> bool:
        """Take the lock together with others that do so, if nobody has it alone; tell whether it is taken."""
        return self._try(fcntl.LOCK_SH)

    def let_go(self) -> None:
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
