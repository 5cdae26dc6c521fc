"""JournalState: numbers that the processes of a gateway share."""

import errno
import mmap
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

# At most as many workers as `server.workers` allows.
MAX_WORKERS = 64

# A position is the number of a segment and an offset in it.
OFFSET_BITS = 40
_OFFSET_MASK = (1 << OFFSET_BITS) - 1

_WORD = 8
_STATE_VERSION = 1
# Words of the state: of the gateway, then of each worker.
_VERSION, ASLEEP, _FAILING_SINCE, _ROTATION, _BOOT = range(5)
FIRST_WORKER = 16
WORKER_WORDS = 8
APPENDED, INGESTED, BYTES_APPENDED, _BYTES_DELETED, WAITING_SINCE, ROWS_APPENDED, _ROWS_INGESTED = range(7)
STATE_BYTES = (FIRST_WORKER + MAX_WORKERS * WORKER_WORDS) * _WORD


@cache
def boot_number() -> int:
    """Return the number of this start of the machine."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return 1
    return int(name.replace("-", "")[:16], 16) | 1


def join_position(number: int, offset: int) -> int:
    return number << OFFSET_BITS | offset


def split_position(position: int) -> tuple[int, int]:
    return position >> OFFSET_BITS, position & _OFFSET_MASK


class JournalState:
    """Numbers that the processes of a gateway share, each written by one of them."""

    # A word is written at once, and every process sees it then; no lock is needed.

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(file).st_size < STATE_BYTES:
                raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), str(path))
            self._map = mmap.mmap(file, STATE_BYTES)
        finally:
            os.close(file)
        self.words = memoryview(self._map).cast("Q")
        self.words[_VERSION] = _STATE_VERSION

    def close(self) -> None:
        self.words.release()
        self._map.close()

    @property
    def is_sound(self) -> bool:
        """Whether it is of this start of the machine."""
        # What a power failure leaves of mapped memory is anything.
        return self.words[_BOOT] == boot_number()

    def begin(self, ends: Mapping[int, int], size_bytes: int) -> None:
        """Begin anew, with what workers have appended."""
        self.words[ASLEEP] = self.words[_FAILING_SINCE] = 0
        for worker in range(MAX_WORKERS):
            start = _word(worker, 0)
            self.words[start : start + WORKER_WORDS] = memoryview(bytes(WORKER_WORDS * _WORD)).cast("Q")
            self.words[start + APPENDED] = ends.get(worker, 0)
        self.words[_word(0, BYTES_APPENDED)] = size_bytes
        self.words[_BOOT] = boot_number()

    @property
    def is_asleep(self) -> bool:
        """Whether the ingester waits to be woken."""
        return bool(self.words[ASLEEP])

    @is_asleep.setter
    def is_asleep(self, value: bool) -> None:
        self.words[ASLEEP] = value

    @property
    def failing_since_us(self) -> int:
        """Since when the store takes no rows; 0 while it takes them."""
        return self.words[_FAILING_SINCE]

    @failing_since_us.setter
    def failing_since_us(self, value: int) -> None:
        self.words[_FAILING_SINCE] = value

    @property
    def rotation(self) -> int:
        """Grows when workers are asked to begin new segments."""
        return self.words[_ROTATION]

    def ask_for_rotation(self) -> None:
        self.words[_ROTATION] += 1

    def appended(self) -> list[int]:
        """Return how far each worker has appended."""
        return self._of_workers(APPENDED)

    def has_ingested(self, positions: Sequence[int]) -> bool:
        """Tell whether the store has everything up to positions of `appended`."""
        return all(map(int.__le__, positions, self._of_workers(INGESTED)))

    def is_caught_up(self) -> bool:
        words = self.words
        appended = words[FIRST_WORKER + APPENDED :: WORKER_WORDS]
        # A worker that was killed may have appended more than it has published.
        return appended == words[FIRST_WORKER + INGESTED :: WORKER_WORDS] or self.has_ingested(
            self.appended()
        )

    def waiting_since_us(self) -> int | None:
        """Return since when the oldest row waits; None if none does."""
        waits = zip(
            self._of_workers(APPENDED),
            self._of_workers(INGESTED),
            self._of_workers(WAITING_SINCE),
            strict=True,
        )
        return min((since for appended, ingested, since in waits if appended > ingested), default=None)

    def rows_waiting(self) -> int:
        return max(0, sum(self.rows_appended()) - sum(self._of_workers(_ROWS_INGESTED)))

    def rows_appended(self) -> list[int]:
        """Return how many rows each worker has appended."""
        return self._of_workers(ROWS_APPENDED)

    def size_bytes(self) -> int:
        """Return the size of all segments."""
        return max(0, sum(self._of_workers(BYTES_APPENDED)) - sum(self._of_workers(_BYTES_DELETED)))

    def progress(self) -> list[tuple[int, int]]:
        """Return how far the store has the rows of each worker, and how far it has appended."""
        return list(zip(self._of_workers(INGESTED), self._of_workers(APPENDED), strict=True))

    def appended_of(self, worker: int) -> int:
        return self.words[_word(worker, APPENDED)]

    def ingested_of(self, worker: int) -> int:
        return self.words[_word(worker, INGESTED)]

    def note_ingested(self, worker: int, position: int, rows: int, at_us: int) -> None:
        """Say that the store has rows of a worker up to a position."""
        words = self.words
        words[_word(worker, _ROWS_INGESTED)] += rows
        # The next one came after it.
        words[_word(worker, WAITING_SINCE)] = max(at_us, words[_word(worker, WAITING_SINCE)])
        words[_word(worker, INGESTED)] = position

    def note_deleted(self, worker: int, size_bytes: int) -> None:
        self.words[_word(worker, _BYTES_DELETED)] += size_bytes

    def _of_workers(self, word: int) -> list[int]:
        return self.words[FIRST_WORKER + word :: WORKER_WORDS].tolist()


def _word(worker: int, word: int) -> int:
    return FIRST_WORKER + worker * WORKER_WORDS + word
