"""What was acknowledged is there, whatever became of the process, and however many wrote at once."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from gateway.store import open_store

ROOT = Path(__file__).parents[3]


def start_loader(path: Path, name: str, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.sqlite.load_process", str(path), name, str(rows)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_after(loader: subprocess.Popen[str], acknowledgements: int) -> list[str]:
    """Read that many lines, kill -9, and return all that the process had said by then."""
    assert loader.stdout is not None
    lines = [loader.stdout.readline() for _ in range(acknowledgements)]
    loader.kill()
    lines += loader.stdout.readlines()
    loader.stdout.close()
    loader.wait()
    return [line.strip() for line in lines if line.endswith("\n")]


def stored(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute(
            "SELECT request_id, length(request_body) FROM requests JOIN payloads USING (seq)"
        )
        votes = connection.execute("SELECT feedback_id FROM feedback WHERE joined_at_us IS NOT NULL")
        return {f"row {row[0]}" for row in rows} | {f"vote {vote[0]}" for vote in votes}
    finally:
        connection.close()


def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    acknowledged: set[str] = set()
    for life in range(6):
        loader = start_loader(path, f"life-{life}", 1_000_000)
        said = kill_after(loader, random.randrange(1, 800))
        assert said
        acknowledged.update(said)
        assert acknowledged <= stored(path)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    loaders = [start_loader(path, name, 400) for name in ("one", "two")]
    acknowledged = {line for loader in loaders for line in loader.communicate()[0].splitlines()}
    assert [loader.returncode for loader in loaders] == [0, 0]
    assert len([line for line in acknowledged if line.startswith("row")]) == 800
    assert acknowledged == stored(path)


async def test_before_a_segment_is_deleted_something_is_written_that_has_all_before_it_synced(
    sqlite_url: str, tmp_path: Path
) -> None:
    # SQLite syncs nothing for a transaction that changes nothing, also where it is told to sync.
    store = await open_store(sqlite_url)
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as reader:
        version = "PRAGMA data_version"
        before = reader.execute(version).fetchone()
        await store.sync_positions()
        assert reader.execute(version).fetchone() != before
    await store.close()
