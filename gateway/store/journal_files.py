"""Files of the journal: a folder for each gateway, with segments of its workers and shared state."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.store.journal_state import (
    APPENDED,
    ASLEEP,
    BYTES_APPENDED,
    FIRST_WORKER,
    INGESTED,
    OFFSET_BITS,
    ROWS_APPENDED,
    STATE_BYTES,
    WAITING_SINCE,
    WORKER_WORDS,
    JournalState,
    join_position,
    split_position,
)

SEGMENT_SUFFIX = ".seg"
# Of a segment that is in the store, and whose position may be forgotten.
DONE_SUFFIX = ".done"


@dataclass(frozen=True, slots=True)
class Segment:
    """A file that one worker appends to."""

    path: Path
    worker: int
    number: int

    @property
    def name(self) -> str:
        """Its name among those of all gateways."""
        return f"{self.path.parent.name}/{self.path.stem}"

    def exists(self) -> bool:
        # Under a second name it is about to be deleted.
        return self.path.exists() or self.path.with_suffix(DONE_SUFFIX).exists()

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


class GatewayJournal:
    """The journal of one gateway. Raises StoreUnavailable where its files cannot be used."""

    def __init__(self, folder: Path, *, repairs: bool = False) -> None:
        self.folder = folder
        with _translated_errors(folder):
            if repairs:
                _make_files(folder)
            self.state = JournalState(folder / "state")
            self._wake = os.open(folder / "wake", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._locks: list[int] = []

    @classmethod
    def create(cls, root: Path) -> "GatewayJournal":
        """Make the journal of a new gateway, which lives as long as one of its processes."""
        with _translated_errors(root):
            root.mkdir(mode=0o700, exist_ok=True)
            name = secrets.token_hex(8)
            hidden = root / f".{name}"
            hidden.mkdir(mode=0o700)
            _make_files(hidden)
            alive = _open_lock(hidden / "alive")
            fcntl.flock(alive, fcntl.LOCK_SH)
            # Renamed only now, so that nobody takes it for the journal of a dead gateway.
            hidden.rename(root / name)
            for folder in (root, root.parent):
                sync_folder(folder)
        journal = cls(root / name)
        journal.state.begin({}, 0)
        journal._locks.append(alive)
        return journal

    def join(self) -> None:
        """Count as a process of the gateway."""
        with _translated_errors(self.folder):
            alive = _open_lock(self.folder / "alive")
            fcntl.flock(alive, fcntl.LOCK_SH)
        self._locks.append(alive)

    def try_own(self, *, of_dead_gateway: bool) -> bool:
        """Become the only reader of the segments, of a dead gateway or of any."""
        names = ("alive", "ingester") if of_dead_gateway else ("ingester",)
        locks = [_open_lock(self.folder / name) for name in names]
        if all(map(_try_lock, locks)):
            self._locks += locks
            return True
        for lock in locks:
            os.close(lock)
        return False

    def repair_state(self) -> None:
        """Repair the state after a power failure."""
        if not self.state.is_sound:
            segments = self.segments()
            ends = {each.worker: join_position(each.number, each.size()) for each in segments}
            self.state.begin(ends, sum(each.size() for each in segments))

    def is_caught_up(self) -> bool:
        """Tell whether the store has everything."""
        state = self.state
        return state.is_caught_up() if self._knows_state() else not self.segments()

    def _knows_state(self) -> bool:
        # One of an earlier version does not say so.
        return self.state.is_sound or self.is_alive()

    def has_ingested(self, positions: Sequence[int] | None) -> bool:
        """Tell whether the store has everything, up to positions."""
        return self.is_caught_up() if positions is None else self.state.has_ingested(positions)

    def appended(self) -> list[int] | None:
        """Return how far each worker has appended, if known."""
        return self.state.appended() if self._knows_state() else None

    def is_alive(self) -> bool:
        """Tell whether the gateway runs."""
        return is_gateway_alive(self.folder)

    def segments(self) -> list[Segment]:
        """Return the segments in order, those of each worker together."""
        return _segments_in(self.folder)

    def wake_ingester(self) -> None:
        self.state.is_asleep = False
        with suppress(BlockingIOError):
            os.write(self._wake, b"w")

    @property
    def wake_file(self) -> int:
        """A pipe that has a byte when the ingester is to look for rows."""
        return self._wake

    def clear_wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def close(self) -> None:
        self.state.close()
        for file in (self._wake, *self._locks):
            os.close(file)
        self._locks.clear()

    def remove(self) -> None:
        """Remove the folder, whose segments are gone."""
        names = ("state", "wake", "ingester", "alive")
        for path in (*map(self.folder.joinpath, names), *self.folder.glob(f".*{SEGMENT_SUFFIX}")):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _make_files(folder: Path) -> None:
    state, wake = folder / "state", folder / "wake"
    if not wake.exists():
        os.mkfifo(wake, 0o600)
    if not state.exists() or state.stat().st_size != STATE_BYTES:
        file = os.open(state, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(file, STATE_BYTES)
        os.close(file)


def is_gateway_alive(folder: Path) -> bool:
    """Tell whether the gateway with this folder runs."""
    try:
        alive = os.open(folder / "alive", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(alive)
    finally:
        os.close(alive)


def is_written(segment: Segment) -> bool:
    """Tell whether a worker may still append to a segment."""
    try:
        file = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(file)
    finally:
        os.close(file)


class SegmentWriter:
    """Appends the records of one worker, without any buffer of its own."""

    def __init__(
        self, journal: GatewayJournal, worker: int, segment_bytes: int, *, syncs: bool = False
    ) -> None:
        self._journal = journal
        self._words = journal.state.words
        self._base = FIRST_WORKER + worker * WORKER_WORDS
        self._worker = worker
        self._segment_bytes = segment_bytes
        self._syncs = syncs
        # A worker that is replaced has left segments with the numbers before, or has said so.
        left = (segment.number for segment in journal.segments() if segment.worker == worker)
        self._number = max(split_position(journal.state.appended_of(worker))[0], *left, 0)
        self._file: int | None = None
        self._offset = 0
        self._opened_at_us = 0
        self._rotation = journal.state.rotation

    def append(self, records: Sequence[Sequence[bytes]]) -> None:
        """Append records, all or none. Raises OSError."""
        if self._file is None or self._offset >= self._segment_bytes:
            self._begin_segment()
        file = self._file
        assert file is not None
        pieces = [piece for record in records for piece in record]
        size = sum(map(len, pieces))
        try:
            if (written := os.writev(file, pieces) if len(pieces) <= _MAX_PIECES else 0) < size:
                _write_all(file, memoryview(b"".join(pieces))[written:])
            if self._syncs:
                os.fdatasync(file)
        except OSError:
            os.ftruncate(file, self._offset)
            raise
        self._offset += size
        self._publish(size, len(records))

    def _publish(self, size: int, rows: int) -> None:
        words, base = self._words, self._base
        if words[base + APPENDED] <= words[base + INGESTED]:
            words[base + WAITING_SINCE] = now_us()
        words[base + BYTES_APPENDED] += size
        words[base + ROWS_APPENDED] += rows
        words[base + APPENDED] = self._number << OFFSET_BITS | self._offset
        if words[ASLEEP]:
            self._journal.wake_ingester()

    def end_old_segment(self, max_age_us: int) -> None:
        """End the segment if it is old or was asked for, so that it can be deleted."""
        rotation = self._journal.state.rotation
        is_asked = rotation != self._rotation
        if self._file is not None and (is_asked or now_us() - self._opened_at_us > max_age_us):
            self.close()
        self._rotation = rotation

    def can_write(self) -> bool:
        """Tell whether the disk takes some bytes, after it did not."""
        probe = self._journal.folder / f"{self._worker}.probe"
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
        return True

    def is_caught_up(self) -> bool:
        return bool(self._words[self._base + APPENDED] <= self._words[self._base + INGESTED])

    def close(self) -> None:
        """End the segment; the next record begins another one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._journal.wake_ingester()

    def _begin_segment(self) -> None:
        self.close()
        self._number += 1
        path = segment_path(self._journal.folder, self._worker, self._number)
        # Under its name only once it is locked: the ingester takes one without a lock for one that is over.
        unnamed = path.with_name(f".{path.name}")
        file = os.open(unnamed, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            unnamed.rename(path)
            if self._syncs:
                sync_folder(path.parent)
        except OSError:
            os.close(file)
            raise
        self._file, self._offset, self._opened_at_us = file, 0, now_us()


_PROBE_BYTES = 64 * 1024

# The system takes no more at a time (IOV_MAX).
_MAX_PIECES = 1024


def _write_all(file: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(file, rest) :]


def segment_path(folder: Path, worker: int, number: int) -> Path:
    return folder / f"{worker}-{number}{SEGMENT_SUFFIX}"


def sync_folder(folder: Path) -> None:
    """Have names in a folder on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def gateway_folders(root: Path) -> list[Path]:
    """Return the folders of all gateways, dead ones included, the oldest first."""
    if not root.is_dir():
        return []
    folders = (each for each in root.iterdir() if not each.name.startswith(".") and each.is_dir())
    return sorted(folders, key=lambda folder: folder.stat().st_mtime_ns)


def all_segments(root: Path) -> list[Segment]:
    """Return the segments of all gateways."""
    return [segment for folder in gateway_folders(root) for segment in _segments_in(folder)]


def remove_journal(root: Path) -> None:
    """Remove the whole journal."""
    shutil.rmtree(root, ignore_errors=True)


def done_files(folder: Path) -> list[Path]:
    """Return the segments of a gateway that are stored."""
    return list(folder.glob(f"*{DONE_SUFFIX}"))


def has_segments(folder: Path) -> bool:
    """Tell whether a gateway has segments."""
    return bool(_segments_in(folder))


def _segments_in(folder: Path) -> list[Segment]:
    names = ((path, *path.stem.partition("-")[::2]) for path in folder.glob(f"*{SEGMENT_SUFFIX}"))
    found = [
        Segment(path, int(worker), int(number))
        for path, worker, number in names
        if worker.isdecimal() and number.isdecimal()
    ]
    return sorted(found, key=lambda segment: (segment.worker, segment.number))


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _translated_errors:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            reason = (error.strerror or repr(error)).lower()
            raise StoreUnavailable(
                f"the journal {self._path} cannot be used: {reason}.",
                hint="Does its folder exist, and may it be written?",
            ) from error
