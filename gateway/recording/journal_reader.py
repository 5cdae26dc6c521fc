"""JournalReader: rows of a gateway's journal that the store does not have, in order."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import structlog

from gateway.store.journal import Record, RecordReader
from gateway.store.journal_files import GatewayJournal, Segment, is_written
from gateway.store.journal_state import join_position, split_position

log = structlog.get_logger("gateway.recording")


@dataclass(slots=True, eq=False)
class OpenSegment:
    """A segment that is being read."""

    segment: Segment
    file: int
    reader: RecordReader
    # How far the store has it.
    stored_to: int
    # Nobody appends to it any more.
    is_final: bool = False
    unstored_rows: int = 0


class JournalReader:
    """Reads the segments of one gateway, those of each worker in order."""

    def __init__(self, journal: GatewayJournal, *, is_dead: bool) -> None:
        self.journal = journal
        # No process of the gateway appends any more.
        self.is_dead = is_dead
        self.damaged = 0
        self._workers: dict[int, deque[OpenSegment]] = {}
        self._known: dict[int, int] = {}

    def start_over(self, positions: Mapping[str, int]) -> None:
        """Go on from what the store has."""
        self.close_segments()
        self._find_new(positions)
        for queue in self._workers.values():
            for used in queue:
                # It may have been stored without a word of it.
                if used.stored_to:
                    self._note_read(used, 0, 0)

    def close_segments(self) -> None:
        for queue in self._workers.values():
            for used in queue:
                os.close(used.file)
        self._workers.clear()
        self._known.clear()

    @property
    def is_empty(self) -> bool:
        return not any(self._workers.values())

    def read(self, max_rows: int, max_bytes: int) -> Iterator[tuple[OpenSegment, list[Record]]]:
        """Yield the rows that follow those that were read."""
        state = self.journal.state
        appended = state.appended()
        if any(
            split_position(at)[0] > self._known.get(worker, 0) for worker, at in enumerate(appended) if at
        ):
            self._find_new({})
        for worker, queue in self._workers.items():
            for used in queue:
                if max_rows <= 0 or max_bytes <= 0:
                    return
                reader, start = used.reader, used.reader.offset
                if (end := self._end(used, appended[worker])) <= start:
                    continue
                damaged = reader.damaged
                records = reader.read(end, max_rows, max_bytes)
                if reader.damaged > damaged:
                    self.damaged += reader.damaged - damaged
                    log.error("damaged records of the journal are passed over", segment=used.segment.name)
                max_rows -= len(records)
                max_bytes -= reader.offset - start
                if records:
                    used.unstored_rows += len(records)
                    yield used, records
                elif not used.unstored_rows:
                    self._note_read(used, 0, 0)

    def mark_final(self) -> None:
        """Find segments that nobody appends to any more."""
        if self.is_dead:
            self._find_new({})
        for queue in self._workers.values():
            for used in queue:
                used.is_final = used.is_final or self.is_dead or not is_written(used.segment)

    def take_finished(self) -> list[Segment]:
        """Take out and return the segments that are stored to their end."""
        over: list[Segment] = []
        for queue in self._workers.values():
            while queue and _is_finished(queue[0]):
                used = queue.popleft()
                os.close(used.file)
                over.append(used.segment)
                self._note_read(used, 0, 0)
        return over

    def note_stored(self, used: OpenSegment, end: int, rows: int, at_us: int) -> None:
        used.stored_to = end
        used.unstored_rows -= rows
        self._note_read(used, rows, at_us)

    def _end(self, used: OpenSegment, appended: int) -> int:
        number, offset = split_position(appended)
        if used.is_final or number > used.segment.number:
            return used.segment.size()
        # Of the one that is appended to, as far as records are known to be whole.
        return offset if number == used.segment.number else 0

    def _note_read(self, used: OpenSegment, rows: int, at_us: int) -> None:
        # What is damaged behind the last row is passed over too.
        offset = used.stored_to if used.unstored_rows else used.reader.offset
        at = join_position(used.segment.number, offset)
        self.journal.state.note_ingested(used.segment.worker, at, rows, at_us)

    def _find_new(self, positions: Mapping[str, int]) -> None:
        for segment in self.journal.segments():
            if segment.number > self._known.get(segment.worker, 0):
                self._known[segment.worker] = segment.number
                start = positions.get(segment.name, 0)
                file = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
                used = OpenSegment(segment, file, RecordReader(file, start), start, self.is_dead)
                self._workers.setdefault(segment.worker, deque()).append(used)


def _is_finished(used: OpenSegment) -> bool:
    return used.is_final and not used.unstored_rows and used.reader.offset >= used.segment.size()
