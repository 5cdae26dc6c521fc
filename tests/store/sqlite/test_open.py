"""Opening a file: made when new, upgraded when old, and refused with a reason when it cannot serve."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gateway.errors import BadInput, StoreUnavailable
from gateway.models.metrics import MetricsQuery
from gateway.store import open_store
from gateway.store.migrate import read_migrations
from tests.store.samples import exchange, requests_of

ROOT = Path(__file__).parents[3]

OLD_ROW = """
INSERT INTO requests (
    request_id, trace_id, provider, endpoint, method, path, started_at_us, ended_at_us, outcome, is_stream, attempt,
    metadata, request_size, response_size, payloads
) VALUES ('old', 't', 'up', 'chat.completions', 'POST', '/', 1, 2, 'complete', 0, 1, '{}', 0, 0, 'full')
"""


@pytest.mark.parametrize("url", ["gateway.db", "sqlite:///", "sqlite:///:memory:", "mysql://host/db"])
async def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"storage\.url"):
        await open_store(url)


async def test_a_relative_url_names_a_file_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite:///my gateway.db")
    await store.close()
    assert (tmp_path / "my gateway.db").exists()


async def test_a_new_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    await store.append([exchange()])
    modes = _modes(tmp_path)
    await store.close()
    names = ("gateway.db", "gateway.db-wal", "gateway.db-shm", "gateway.db.lock", "gateway.db.lock.open")
    assert modes == dict.fromkeys(names, 0o600)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"missing/gateway\.db.*Does its folder exist"):
        await open_store(f"sqlite:///{tmp_path}/missing/gateway.db")


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await open_store(f"sqlite:///{tmp_path}")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 1000)
    with pytest.raises(StoreUnavailable, match=r"notes\.txt cannot be used: it is not a SQLite database"):
        await open_store(f"sqlite:///{path}")
    assert path.read_text() == "not a database " * 1000


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url)")
    other.commit()
    with pytest.raises(StoreUnavailable, match="belongs to another program"):
        await open_store(f"sqlite:///{path}")
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    other.close()


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    await (await open_store(url)).close()
    newer = sqlite3.connect(tmp_path / "gateway.db")
    newer.execute("INSERT INTO migrations VALUES (9999, '9999_later', '2099-01-01')")
    newer.commit()
    newer.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        await open_store(url)


async def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    await (await open_store(url)).close()
    with (tmp_path / "gateway.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await open_store(url)


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").touch()
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    assert await requests_of(store) == []
    await store.close()


async def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    whole = read_migrations("gateway.store.sqlite")

    def with_a_mistake(_: str) -> list[object]:
        last = whole[-1]
        return [*whole[:-1], type(last)(last.number, last.name, (*last.statements, "CREATE NONSENSE"))]

    with monkeypatch.context() as patch:
        patch.setattr("gateway.store.migrate.read_migrations", with_a_mistake)
        with pytest.raises(sqlite3.OperationalError, match="NONSENSE"):
            await open_store(url)
    store = await open_store(url)
    await store.append([exchange()])
    await store.close()


async def test_a_file_that_was_made_by_an_older_version_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    whole = read_migrations("gateway.store.sqlite")
    with monkeypatch.context() as patch:
        patch.setattr("gateway.store.migrate.read_migrations", lambda _: whole[:4])
        await (await open_store(url)).close()
    fill_as_it_was_before_figures(tmp_path / "gateway.db")
    store = await open_store(url)
    assert [record.request_id for record in await requests_of(store)] == ["first", "second"]
    counted = await store.feedback_sums(MetricsQuery(0, 10, bucket_us=1))
    assert {cell.starts_at_us: sums.entries for cell, sums in counted.items()} == {1: 1, 2: 2}
    assert [entry.grade for entry in await store.feedback_by_ids(["on-trace", "on-request"])] == [5, 10]
    assert [found.identity.request_id for _, found in await store.uninterpreted(10)] == ["first", "second"]
    await store.close()
    connection = sqlite3.connect(tmp_path / "gateway.db")
    assert connection.execute("SELECT request_id FROM request_report").fetchall() == [("first",), ("second",)]
    connection.close()


async def test_sessions_that_were_only_metadata_become_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    whole = read_migrations("gateway.store.sqlite")
    told = ["chat", "", 7, True, None]
    with monkeypatch.context() as patch:
        patch.setattr("gateway.store.migrate.read_migrations", lambda _: whole[:5])
        await (await open_store(url)).close()
    connection = sqlite3.connect(tmp_path / "gateway.db")
    connection.executemany(
        "INSERT INTO requests (request_id, trace_id, provider, endpoint, method, path, started_at_us, ended_at_us,"
        " outcome, is_stream, attempt, metadata, request_size, response_size, payloads)"
        " VALUES ('r', 't', 'p', 'e', 'POST', '/', 1, 9, 'complete', 0, 0, ?, 0, 0, 'off')",
        [(json.dumps({"_session": session}),) for session in told],
    )
    connection.commit()
    connection.close()
    store = await open_store(url)
    upgraded = [record.session for record in await requests_of(store)]
    await store.append([exchange(metadata={"_session": session}) for session in told])
    assert upgraded == [record.session for record in await requests_of(store)][len(told) :]
    assert upgraded == ["chat", None, "7", None, None]
    await store.close()


def fill_as_it_was_before_figures(path: Path) -> None:
    """Two requests of a trace, started at 1 and 2, and what was said of them: of the trace before the second began
    and after, and of the second by its id."""
    connection = sqlite3.connect(path)
    connection.executemany(
        "INSERT INTO requests (request_id, trace_id, provider, endpoint, method, path, started_at_us, ended_at_us,"
        " outcome, is_stream, attempt, metadata, request_size, response_size, payloads)"
        " VALUES (?, 't', 'p', 'e', 'POST', '/', ?, 9, 'complete', 0, 0, '{}', 0, 0, 'off')",
        [("first", 1), ("second", 2)],
    )
    connection.executemany(
        "INSERT INTO feedback (feedback_id, version, subject_id, target, trace_id, request_id, joined_at_us, kind,"
        " value, weight, score, source, metadata, dialect, raw, created_at_us, updated_at_us)"
        " VALUES (?, 1, 's', ?, 't', ?, 9, 'rating', ?, 1, ?, 'human', '{}', ?, '{}', ?, ?)",
        [
            ("early", "trace", None, 5, 0.5, "portkey", 1, 1),
            ("on-trace", "trace", None, 5, 1.0, "portkey", 3, 3),
            ("on-request", "request", "second", 1, 1.0, "helicone", 1, 1),
        ],
    )
    connection.commit()
    connection.close()


async def test_many_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    stores = await asyncio.gather(*(open_store(url) for _ in range(8)))
    await asyncio.gather(*(store.append([exchange(str(number))]) for number, store in enumerate(stores)))
    assert {record.request_id for record in await requests_of(stores[0])} == set("01234567")
    await asyncio.gather(*(store.close() for store in stores))


OPEN_AS_NOBODY = """
import asyncio, os, sys
import concurrent.futures.thread  # which asyncio imports when it first needs it: too late for nobody
from gateway.errors import StoreUnavailable
from gateway.store import open_store
from gateway.store.migrate import read_migrations

async def main() -> None:
    try:
        await open_store(f"sqlite:///{sys.argv[1]}")
    except StoreUnavailable as error:
        print(error)

read_migrations("gateway.store.sqlite")
if os.geteuid() == 0:
    os.setuid(65534)
asyncio.run(main())
"""


def test_a_file_that_may_only_be_read_is_refused_with_the_reason() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        asyncio.run(_make(path))
        for lock in Path(folder).glob("*.lock*"):
            lock.chmod(0o666)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", OPEN_AS_NOBODY, str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        Path(folder).chmod(0o755)
    assert done.stdout == f"the database {path} cannot be used: it is read-only.\n"


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def _make(path: Path) -> None:
    await (await open_store(f"sqlite:///{path}")).close()
