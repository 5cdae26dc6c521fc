"""The turn to write: processes that write to the same file take turns, by a lock on a file beside it.

SQLite's own way to wait for its lock is to sleep, longer each time, and to look again; of several busy writers
some then wait for seconds. The kernel wakes the next in line. SQLite's lock is taken all the same, inside a turn,
since other programs know no other.
"""

from __future__ import annotations

import time
from pathlib import Path

from gateway.store.file_lock import FileLock
from gateway.store.files import beside


class Turn:
    """One writer's turns at a file. Taken and ended on one thread, watched from others.

    Args:
        path: the database.
        patience_seconds: how long its turn may be waited for. Nothing can call a thread back that waits, so this
            is for those who wait for the thread.
    """

    def __init__(self, path: Path, patience_seconds: float) -> None:
        self._lock = FileLock(beside(path, ".lock"))
        self._patience_seconds = patience_seconds
        self._waits_since: float | None = None

    def take(self) -> None:
        """Wait until no other process has the turn, and take it. Raises StoreUnavailable where files cannot be
        locked."""
        self._waits_since = time.monotonic()
        try:
            self._lock.take()
        finally:
            self._waits_since = None

    def end(self) -> None:
        """Let others write."""
        self._lock.let_go()

    def patience_left(self) -> float:
        """Return for how many seconds the turn may still be waited for; all of them while nobody waits for it."""
        since = self._waits_since
        return self._patience_seconds if since is None else since + self._patience_seconds - time.monotonic()

    def close(self) -> None:
        """Take no turns any more."""
        self._lock.close()
