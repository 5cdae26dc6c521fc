"""Recorder: appends finished exchanges to the journal of this gateway before their answers end."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange
from gateway.periodic import PeriodicTask
from gateway.recording.interpreter import is_kept_whole, prepare
from gateway.store.journal import encode_record
from gateway.store.journal_files import GatewayJournal, SegmentWriter
from gateway.store.journal_state import JournalState

log = structlog.get_logger("gateway.recording")

# Longer exchanges are written by a thread, so that no stream stands still meanwhile.
MAX_DIRECT_BYTES = 256 * 1024

# How long exchanges may be kept in memory with `durability: interval`, and how many bytes of them.
INTERVAL_SECONDS = 0.05
MAX_INTERVAL_BYTES = 1024 * 1024

# Segments are this large, or an eighth of what the journal may have.
SEGMENT_BYTES = 16 * 1024 * 1024

# Segments are ended after so long, so that what the store has does not stay in a file beside it.
MAX_SEGMENT_AGE_US = 10_000_000
ROTATION_SECONDS = 0.5

_FULL = "the journal is as large as storage.journal_max_bytes allows"

# A line of the log for all rows that are lost meanwhile.
_LOSS_LOG_SECONDS = 5.0

# The size of the journal is looked at after so many more bytes.
_SIZE_CHECK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class JournalLimit:
    """How large the journal may become, and whether requests are refused before rows are lost."""

    max_bytes: int
    refuses: bool = False


class Recorder:
    """Appends exchanges to the journal; `interval`: later, `syncs`: on the disk, before `record` returns."""

    def __init__(
        self,
        writer: SegmentWriter,
        state: JournalState,
        limit: JournalLimit,
        *,
        interval: bool = False,
        syncs: bool = False,
    ) -> None:
        self.rows_lost = 0
        self._writer = writer
        self._state = state
        self._limit = limit
        self._has_interval = interval
        self._is_direct = not interval and not syncs
        self._waiting: list[tuple[Exchange, asyncio.Future[None]]] = []
        self._group: asyncio.Task[None] | None = None
        self._interval: list[list[bytes]] = []
        self._interval_bytes = 0
        self._interval_timer: asyncio.TimerHandle | None = None
        self._unchecked_bytes = _SIZE_CHECK_BYTES
        self._is_full = False
        self._silent_until = 0.0
        self._disk_failure: str | None = None
        self._loop = asyncio.get_running_loop()
        self._rotation = PeriodicTask(
            "journal rotation",
            self._rotate,
            pause_seconds=ROTATION_SECONDS,
            failed="the journal was not rotated",
        )

    def start(self) -> None:
        self._rotation.start(ROTATION_SECONDS)

    @property
    def failure(self) -> str | None:
        """Why the journal takes no rows; None while it takes them."""
        return self._disk_failure or (_FULL if self._is_full else None)

    def refuse_while_failing(self) -> None:
        """Raise StoreUnavailable while rows would be lost, or wait for a store that fails."""
        self._check_size()
        if self.failure is not None or self._state.failing_since_us:
            raise StoreUnavailable("the store takes no rows, so no requests are served.")

    def record_without_waiting(self, exchange: Exchange) -> None:
        """Take the exchange of a cancelled caller."""
        if not self._append_directly(exchange):
            self._add(exchange)

    async def record(self, exchange: Exchange) -> None:
        """Take an exchange, and return when it is safe enough."""
        if not self._append_directly(exchange):
            await self._add(exchange)

    def flush(self) -> None:
        """Append what waits for the end of the interval."""
        if self._interval_timer is not None:
            self._interval_timer.cancel()
            self._interval_timer = None
        records, self._interval, self._interval_bytes = self._interval, [], 0
        if records:
            self._append(records)

    async def close(self) -> None:
        """Append the rest, then stop."""
        await self._rotation.close()
        while self._group is not None:
            await asyncio.gather(self._group, return_exceptions=True)
        self.flush()
        self._writer.close()

    def _append_directly(self, exchange: Exchange) -> bool:
        size = len(exchange.request_body) + len(exchange.response_body)
        if self._group is not None or size > MAX_DIRECT_BYTES or not is_kept_whole(exchange):
            return False
        if self._is_direct:
            self._append([encode_record(exchange)])
        elif self._has_interval:
            self._append_later(encode_record(exchange), size)
        else:
            return False
        return True

    def _append_later(self, record: list[bytes], size: int) -> None:
        self._interval.append(record)
        self._interval_bytes += size
        if self._interval_bytes > MAX_INTERVAL_BYTES:
            self.flush()
        elif self._interval_timer is None:
            self._interval_timer = self._loop.call_later(INTERVAL_SECONDS, self.flush)

    def _add(self, exchange: Exchange) -> asyncio.Future[None]:
        taken = self._loop.create_future()
        self._waiting.append((exchange, taken))
        if self._group is None:
            self._group = self._loop.create_task(self._write_groups(), name="recorder")
        return taken

    async def _write_groups(self) -> None:
        # The writer is for one thread at a time: what ends meanwhile forms the next group.
        self.flush()
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await asyncio.to_thread(self._write, [exchange for exchange, _ in group])
                for _, taken in group:
                    if not taken.done():
                        taken.set_result(None)
        finally:
            self._group = None

    def _write(self, exchanges: list[Exchange]) -> None:
        prepared = [prepare(exchange) for exchange in exchanges]
        self._append([encode_record(each.exchange, each.facts) for each in prepared])

    def _append(self, records: list[list[bytes]]) -> None:
        self._unchecked_bytes += sum(map(len, records[0]))
        if self._unchecked_bytes >= _SIZE_CHECK_BYTES or self._is_full:
            self._check_size()
        if self._is_full and not self._limit.refuses:
            self._lose(len(records), _FULL)
            return
        try:
            self._writer.append(records)
        except OSError as error:
            self._append_each(records, error)
        else:
            self._disk_failure = None

    def _append_each(self, records: list[list[bytes]], error: OSError) -> None:
        # A disk without room for all may have some for the shorter ones.
        self._disk_failure = (error.strerror or repr(error)).lower()
        lost = len(records)
        for record in records if lost > 1 else ():
            with suppress(OSError):
                self._writer.append([record])
                lost -= 1
        if lost:
            self._lose(lost, self._disk_failure)

    def _lose(self, rows: int, reason: str) -> None:
        self.rows_lost += rows
        if self._loop.time() >= self._silent_until:
            self._silent_until = self._loop.time() + _LOSS_LOG_SECONDS
            log.error("rows are lost: the journal takes none", reason=reason, lost=self.rows_lost)

    def _check_size(self) -> None:
        self._unchecked_bytes = 0
        self._is_full = self._state.size_bytes() >= self._limit.max_bytes

    async def _rotate(self) -> None:
        if self._group is not None:
            return
        self._writer.end_old_segment(MAX_SEGMENT_AGE_US)
        self._check_size()
        if self._disk_failure is not None and self._writer.can_write():
            self._disk_failure = None


def open_recorder(
    journal: GatewayJournal,
    worker: int,
    durability: Literal["commit", "disk", "interval"],
    max_bytes: int,
    *,
    refuses: bool,
) -> Recorder:
    """Return what journals the requests of a worker."""
    syncs = durability == "disk"
    writer = SegmentWriter(journal, worker, min(SEGMENT_BYTES, max_bytes // 8), syncs=syncs)
    limit = JournalLimit(max_bytes, refuses=refuses)
    return Recorder(writer, journal.state, limit, interval=durability == "interval", syncs=syncs)
