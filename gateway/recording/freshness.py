"""Freshness: questions wait until the store has what was journaled on this node before they came."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.store.journal_files import GatewayJournal, gateway_folders, has_segments

# Rows that wait for longer make a gateway not ready.
MAX_BEHIND_MS = 10_000

# How often is looked whether the ingester has caught up.
_POLL_SECONDS = 0.002
_SLOW_POLL_SECONDS = 0.02

# Segments end within half a second, and are deleted a second later.
_PURGE_SECONDS = 10.0

# Times of folders are at most so coarse.
_COARSE_US = 100_000

# How often gateways are looked for that began or ended.
_LISTING_SECONDS = 0.5


class Freshness:
    """Tells whether rows wait in the journals of this node, and waits for them.

    Args:
        own: the journal of this gateway; None for a command.
        flush: appends what this process holds back.
    """

    def __init__(
        self,
        root: Path,
        own: GatewayJournal | None,
        max_wait_seconds: float,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._root = root
        self._own = own
        self._max_wait_seconds = max_wait_seconds
        self._flush = flush
        self._others: dict[Path, GatewayJournal] = {}
        self._list_at_us = 0
        self._changed_at_us = 0

    def close(self) -> None:
        for journal in self._others.values():
            journal.close()
        self._others.clear()

    async def wait(self) -> int:
        """Wait for rows that were journaled before; return how far the store is still behind, in milliseconds."""
        self._flush()
        journals = self._journals()
        if all(journal.is_caught_up() for journal in journals):
            return 0
        wanted = [(journal, journal.appended()) for journal in journals]
        loop = asyncio.get_running_loop()
        started = loop.time()
        ends_at = started + self._max_wait_seconds
        if (
            any(journal.state.failing_since_us and journal.is_alive() for journal in journals)
            and self.behind_ms() >= _MS * self._max_wait_seconds
        ):
            # More waiting would not help.
            return self.behind_ms()
        for journal in journals:
            journal.wake_ingester()
        while not all(journal.has_ingested(positions) for journal, positions in wanted):
            if loop.time() >= ends_at:
                return max(1, self.behind_ms())
            await asyncio.sleep(_POLL_SECONDS if loop.time() < started + 0.1 else _SLOW_POLL_SECONDS)
        return 0

    async def purge(self) -> bool:
        """Have the segments of now deleted; tell whether they are."""
        journals = self._journals()
        segments = [segment for journal in journals for segment in journal.segments()]
        for journal in journals:
            journal.state.ask_for_rotation()
        ends_at = asyncio.get_running_loop().time() + _PURGE_SECONDS
        while any(segment.exists() for segment in segments):
            if asyncio.get_running_loop().time() >= ends_at:
                return False
            for journal in journals:
                journal.wake_ingester()
            await asyncio.sleep(_SLOW_POLL_SECONDS)
        return True

    def behind_ms(self) -> int:
        """Return the age of the oldest row that waits."""
        since = (journal.state.waiting_since_us() for journal in self._journals())
        oldest = min((at_us for at_us in since if at_us is not None), default=None)
        return 0 if oldest is None else max(1, (now_us() - oldest) // 1000)

    def waiting_journals(self) -> list[GatewayJournal]:
        """Return the journals with rows that the store does not have."""
        self._flush()
        return [journal for journal in self._journals() if not journal.is_caught_up()]

    def rows_waiting(self) -> int:
        """Return how many rows wait."""
        return 0 if self._own is None else self._own.state.rows_waiting()

    def size_bytes(self) -> int:
        """Return the size of this journal."""
        return 0 if self._own is None else self._own.state.size_bytes()

    def is_failing(self) -> bool:
        """Tell whether the store takes no rows."""
        return self._own is not None and bool(self._own.state.failing_since_us)

    def _journals(self) -> list[GatewayJournal]:
        # Gateways that began since are seen by the folder's time, which is coarse: it is not trusted at first.
        changed_at_us = self._root.stat().st_mtime_ns // 1000 if self._root.exists() else 0
        if changed_at_us != self._changed_at_us or now_us() >= self._list_at_us:
            self._list()
            self._changed_at_us = changed_at_us if now_us() - changed_at_us > _COARSE_US else 0
        return [*self._others.values()] if self._own is None else [self._own, *self._others.values()]

    def _list(self) -> None:
        self._list_at_us = now_us() + int(_LISTING_SECONDS * 1e6)
        folders = set(gateway_folders(self._root))
        for folder in self._others.keys() - folders:
            self._others.pop(folder).close()
        own = None if self._own is None else self._own.folder
        for folder in folders - self._others.keys() - {own}:
            # It may be removed at any time.
            with suppress(StoreUnavailable):
                self._others[folder] = GatewayJournal(folder, repairs=has_segments(folder))


_MS = 1000
