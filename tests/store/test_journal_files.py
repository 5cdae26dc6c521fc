"""Files of the journal: who owns them, who is alive, how far they are, and segments that are never torn."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store import is_in_use, journal_root
from gateway.store.journal import encode_record
from gateway.store.journal_files import (
    GatewayJournal,
    Segment,
    SegmentWriter,
    all_segments,
    gateway_folders,
    is_written,
)
from gateway.store.journal_state import join_position, split_position
from tests.store.samples import exchange


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db.journal"


@pytest.fixture
def journal(root: Path) -> Iterator[GatewayJournal]:
    journal = GatewayJournal.create(root)
    yield journal
    journal.close()


def record(name: str = "a", body: bytes = b"") -> list[bytes]:
    return encode_record(exchange(name, response_body=body))


def test_it_lies_beside_the_database() -> None:
    assert journal_root("sqlite:////var/lib/gateway.db") == Path("/var/lib/gateway.db.journal")
    root = journal_root("postgresql://ann@db/log", Path("/var/lib/gateway"))
    assert (root.parent, root.suffix) == (Path("/var/lib/gateway"), ".journal")


def test_only_the_owner_may_read_it(journal: GatewayJournal, root: Path) -> None:
    SegmentWriter(journal, 0, 1000).append([record()])
    assert [path.stat().st_mode & 0o777 for path in (root, journal.folder)] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in journal.folder.iterdir()} == {0o600}


def test_a_gateway_lives_as_long_as_one_of_its_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/odd [name].db"
    assert not is_in_use(url)
    supervisor = GatewayJournal.create(journal_root(url))
    worker = GatewayJournal(supervisor.folder)
    worker.join()
    heir = GatewayJournal(supervisor.folder)
    supervisor.close()
    assert is_in_use(url)
    assert not heir.try_own(of_dead_gateway=True)
    worker.close()
    assert not is_in_use(url)
    assert heir.try_own(of_dead_gateway=True)
    heir.close()


def test_one_process_at_a_time_reads_the_segments(journal: GatewayJournal) -> None:
    first, second = GatewayJournal(journal.folder), GatewayJournal(journal.folder)
    assert first.try_own(of_dead_gateway=False)
    assert not second.try_own(of_dead_gateway=False)
    first.close()
    assert second.try_own(of_dead_gateway=False)
    second.close()


def test_positions_grow_over_segments_and_over_workers_that_are_replaced(journal: GatewayJournal) -> None:
    other = GatewayJournal(journal.folder)
    writer = SegmentWriter(journal, 3, 1)
    sizes: list[int] = []
    for _ in range(2):
        writer.append([record(), record()])
        sizes.append(os.path.getsize(journal.folder / f"3-{len(sizes) + 1}.seg"))
    assert other.state.appended_of(3) == join_position(2, sizes[1])
    assert (other.state.rows_waiting(), other.state.size_bytes()) == (4, sum(sizes))
    # Killed before it could publish what it had begun.
    (journal.folder / "3-3.seg").touch()
    replaced = SegmentWriter(journal, 3, 1)
    replaced.append([record()])
    assert split_position(other.state.appended_of(3))[0] == 4
    assert not other.state.is_caught_up()
    other.state.note_ingested(3, other.state.appended_of(3), 5, 1)
    assert journal.state.is_caught_up()
    assert (journal.state.rows_waiting(), journal.state.waiting_since_us()) == (0, None)
    other.close()


def test_a_segment_is_written_until_its_writer_ends_it_or_is_gone(
    journal: GatewayJournal, root: Path
) -> None:
    writer = SegmentWriter(journal, 0, 10**6)
    writer.append([record()])
    [segment] = all_segments(root)
    assert segment.name == f"{journal.folder.name}/0-1"
    assert is_written(segment)
    writer.close()
    assert not is_written(segment)
    writer.append([record()])
    assert [(each.number, is_written(each)) for each in journal.segments()] == [(1, False), (2, True)]


def test_nobody_sees_a_segment_that_is_not_locked_yet(
    journal: GatewayJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    seen: list[list[Segment]] = []

    def note(file: int, operation: int) -> None:
        seen.append(journal.segments())
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", note)
    SegmentWriter(journal, 0, 10**6).append([record()])
    assert seen == [[]]
    assert len(journal.segments()) == 1


def test_many_records_are_appended_at_once(journal: GatewayJournal) -> None:
    SegmentWriter(journal, 0, 10**9).append([record()] * 1000)
    assert journal.segments()[0].size() == 1000 * len(b"".join(record()))


def test_a_full_disk_leaves_the_segment_as_it_was(journal: GatewayJournal) -> None:
    writer = SegmentWriter(journal, 0, 10**6)
    writer.append([record()])
    [segment] = journal.segments()
    size = segment.size()
    with file_size_limit(size + 100), pytest.raises(OSError, match="too large"):
        writer.append([record()])
    assert segment.size() == size
    writer.append([record()])
    assert segment.size() == 2 * size


def test_the_ingester_is_woken_only_when_it_sleeps(journal: GatewayJournal) -> None:
    ingester = GatewayJournal(journal.folder)
    writer = SegmentWriter(journal, 0, 10**6)
    writer.append([record()])
    with pytest.raises(BlockingIOError):
        os.read(ingester.wake_file, 1)
    ingester.state.is_asleep = True
    writer.append([record()])
    assert os.read(ingester.wake_file, 10) == b"w"
    assert not ingester.state.is_asleep
    ingester.close()


def test_the_oldest_gateway_comes_first_and_one_that_is_being_made_not_at_all(root: Path) -> None:
    journals = [GatewayJournal.create(root) for _ in range(3)]
    for age, journal in enumerate(journals):
        os.utime(journal.folder, (1000 - age, 1000 - age))
    (root / ".half").mkdir()
    assert gateway_folders(root) == [journal.folder for journal in reversed(journals)]
    for journal in journals:
        journal.remove()
        journal.close()
    assert gateway_folders(root) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no such file"):
        GatewayJournal.create(tmp_path / "missing" / "gateway.db.journal")
