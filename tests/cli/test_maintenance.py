"""`gateway backup`, `restore`, `compact`, `merge` and `migrate`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from gateway.store import open_store
from gateway.store.journal import encode_record, read_file
from gateway.store.journal_files import GatewayJournal, SegmentWriter
from tests.cli.command import COMMAND, plain_environment
from tests.cli.conftest import Played, Run
from tests.client.chat_calls import ask
from tests.log_reader import eventually, query, wait_until_interpreted
from tests.store.samples import exchange, feedback

STORE = "sqlite:///gateway.db"
BODY = os.urandom(200_000)


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """A store with two requests and a vote."""
    return await fill(tmp_path / "gateway.db", 2)


async def fill(path: Path, requests: int, body: bytes = b"{}") -> Path:
    store = await open_store(f"sqlite:///{path}")
    for number in range(requests):
        await store.append([exchange(str(number), request_body=body, request_size=len(body))])
    await store.put_feedback([feedback()])
    await store.close()
    return path


def requests_in(path: Path) -> int:
    count: int = query(path, "SELECT count(*) FROM requests")[0][0]
    return count


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.usefixtures("database")
def test_a_backup_says_what_is_in_it_and_is_its_owner_s_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    done = run("backup", "--storage", STORE, "to/copy.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"2 requests and 1 feedback entries, 0\.\d MiB in \d+\.\d s: to/copy\.db\n", done.stdout
    )
    copy = tmp_path / "to" / "copy.db"
    assert names_in(tmp_path / "to") == {"copy.db"}
    assert copy.stat().st_mode & 0o777 == 0o600
    assert requests_in(copy) == 2


@pytest.mark.usefixtures("database")
def test_a_backup_into_a_folder_has_the_time_in_its_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    assert run("backup", "--storage", STORE, "to").returncode == 0
    [name] = names_in(tmp_path / "to")
    assert re.fullmatch(r"gateway-\d{8}T\d{6}Z\.db", name)


def test_a_file_that_is_there_is_replaced_only_if_that_is_asked_for(
    run: Run, database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    refused = run("backup", "--storage", STORE, "copy.db")
    assert refused.returncode == 1
    assert "copy.db is there already. Choose another name, or --force." in refused.stderr
    assert copy.read_text() == "precious"
    assert run("backup", "--storage", STORE, "--force", "copy.db").returncode == 0
    assert requests_in(copy) == requests_in(database)


@pytest.fixture
async def large(tmp_path: Path) -> Path:
    """A store that takes some time to copy."""
    return await fill(tmp_path / "gateway.db", 1000, BODY)


def test_a_backup_that_is_killed_leaves_nothing_under_its_name(large: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "backup", "--storage", STORE, "to/copy.db"]
    (tmp_path / "to").mkdir()
    backup = subprocess.Popen(command, cwd=tmp_path, env=plain_environment())
    eventually(lambda: any(file.stat().st_size for file in (tmp_path / "to").iterdir()))
    backup.kill()
    assert backup.wait() == -signal.SIGKILL
    left = names_in(tmp_path / "to")
    assert left
    assert all(re.fullmatch(r"\.copy\.db\..*\.partial(-journal)?", name) for name in left)
    assert requests_in(large) == 1000


def test_what_is_no_store_is_not_backed_up(run: Run, tmp_path: Path) -> None:
    missing = run("backup", "--storage", "sqlite:///missing.db", "copy.db")
    assert missing.returncode == 1
    assert "there is no database" in missing.stderr
    (tmp_path / "text.db").write_text("no database" * 100)
    assert "not a SQLite database" in run("backup", "--storage", "sqlite:///text.db", "copy.db").stderr
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert "belongs to another program" in run("backup", "--storage", "sqlite:///other.db", "copy.db").stderr
    assert names_in(tmp_path) == {"text.db", "other.db"}


def test_rows_that_wait_beside_the_store_are_in_the_backup_and_wait_on(
    run: Run, database: Path, tmp_path: Path
) -> None:
    journal = GatewayJournal.create(tmp_path / "gateway.db.journal")
    writer = SegmentWriter(journal, 0, 10**6)
    for number in range(3):
        writer.append([encode_record(exchange(f"journal-{number}"))])
    writer.close()
    journal.close()
    spill = tmp_path / "gateway.db.spill.1"
    spill.write_bytes(b"".join(b"".join(encode_record(exchange(f"old-{number}"))) for number in range(3)))
    done = run("backup", "--storage", STORE, "copy.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert requests_in(tmp_path / "copy.db") == 2 + 3 + 3
    assert requests_in(database) == 2
    assert [len(batch) for path in (spill, journal.segments()[0].path) for batch in read_file(path)] == [3, 3]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "name", ["gateway.db", "./gateway.db", "gateway.db-wal", "gateway.db.spill", "link.db"]
)
def test_a_backup_never_takes_the_place_of_the_store_itself(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "link.db").symlink_to("gateway.db")
    refused = run("backup", "--storage", STORE, "--force", name)
    assert refused.returncode == 1
    assert "is the store itself, or a part of it" in refused.stderr
    assert requests_in(tmp_path / "gateway.db") == 2


def test_a_backup_is_restored_where_there_is_nothing(run: Run, database: Path, tmp_path: Path) -> None:
    database.rename(tmp_path / "backup.db")
    done = run("restore", "--storage", STORE, "backup.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("restored 2 requests and 1 feedback entries")
    assert requests_in(database) == requests_in(tmp_path / "backup.db") == 2
    assert database.stat().st_mode & 0o777 == 0o600


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    """Another store, with five requests."""
    return await fill(tmp_path / "backup.db", 5)


def test_a_store_that_is_there_is_kept_under_another_name(run: Run, database: Path, backup: Path) -> None:
    refused = run("restore", "--storage", STORE, "backup.db")
    assert refused.returncode == 1
    assert "is there already. --force keeps it under another name." in refused.stderr
    assert requests_in(database) == 2
    done = run("restore", "--storage", STORE, "--force", "backup.db")
    assert done.returncode == 0
    aside = Path(done.stdout.splitlines()[1].removeprefix("what was there before is "))
    assert aside.name.startswith("gateway.db.before-")
    assert (requests_in(database), requests_in(aside), requests_in(backup)) == (5, 2, 5)


def test_a_log_that_lies_beside_is_not_taken_for_that_of_the_restored_store(
    run: Run, database: Path, backup: Path, tmp_path: Path
) -> None:
    """The log of a process that was killed: of a database that is there, and of one that is not any more."""
    connection = sqlite3.connect(database)
    connection.execute("DELETE FROM requests")
    connection.commit()
    log = database.with_name("gateway.db-wal")
    shutil.copy(log, tmp_path / "kept-log")
    connection.close()
    shutil.copy(tmp_path / "kept-log", log)
    assert run("restore", "--storage", STORE, "--force", str(backup)).returncode == 0
    assert requests_in(database) == 5
    database.unlink()
    shutil.copy(tmp_path / "kept-log", log)
    assert run("restore", "--storage", STORE, str(backup)).returncode == 0
    assert requests_in(database) == 5


def test_a_damaged_backup_and_one_of_another_program_are_refused_and_change_nothing(
    run: Run, database: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.db"
    pages = bytearray(database.read_bytes())
    pages[4096 * 5 : 4096 * 25] = os.urandom(4096 * 20)
    damaged.write_bytes(pages)
    refused = run("restore", "--storage", STORE, "--force", "damaged.db")
    assert refused.returncode == 1
    assert "damaged" in refused.stderr
    (tmp_path / "text.db").write_text("no database" * 100)
    assert "not a SQLite database" in run("restore", "--storage", STORE, "--force", "text.db").stderr
    assert "there is no file" in run("restore", "--storage", STORE, "--force", "missing.db").stderr
    assert requests_in(database) == 2


def test_a_database_that_is_in_use_is_no_backup_and_a_store_that_is_is_not_replaced(
    played: Played, tmp_path: Path, run: Run
) -> None:
    refused = run("restore", "--storage", STORE, str(played.gateway.database))
    assert refused.returncode == 1
    assert "is a database with commits in gateway.db-wal, not a backup" in refused.stderr
    assert played.run("backup", "--storage", STORE, str(tmp_path / "copy.db")).returncode == 0
    refused = played.run("restore", "--storage", STORE, "--force", str(tmp_path / "copy.db"))
    assert refused.returncode == 1
    assert "a gateway or another command has" in refused.stderr


def test_it_says_how_large_the_database_was_and_is(run: Run) -> None:
    run("keys", "create", "app", "--role", "proxy")
    done = run("compact")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"0\.\d MiB before, 0\.\d MiB now\n", done.stdout)


def test_it_works_beside_a_running_gateway(played: Played) -> None:
    done = played.run("compact", "--storage", "sqlite:///gateway.db")
    assert done.returncode == 0, done.stderr
    assert ask(played.gateway.url, "after compacting").status_code == 200
    assert "first" in played.run("logs", "query", "--trace-id", "first", "--json").stdout


def test_a_database_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    refused = run("compact", "--storage", "sqlite:///missing.db")
    assert refused.returncode == 1
    assert "there is no database" in refused.stderr
    assert not (tmp_path / "missing.db").exists()


def test_a_store_is_migrated_beside_a_running_gateway_and_again(played: Played, tmp_path: Path) -> None:
    source, target = f"sqlite:///{played.gateway.database}", f"sqlite:///{tmp_path}/new.db"
    wait_until_interpreted(played.gateway.database)
    first = played.run("migrate", source, target)
    assert first.returncode == 0, first.stderr
    told = {line.split()[0]: line for line in first.stdout.splitlines()}
    rows = query(played.gateway.database, "SELECT count(*) FROM requests")[0][0]
    assert f"{rows} read, {rows} added" in told["requests"]
    assert told["checked"].endswith("all there")
    assert query(tmp_path / "new.db", "SELECT count(*) FROM requests")[0][0] == rows
    actions = "SELECT action FROM audit WHERE action = 'merge'"
    assert len(query(tmp_path / "new.db", actions)) == 1

    again = played.run("migrate", source, target)
    assert f"{rows} read, 0 added" in again.stdout


def test_stores_are_merged_into_that_of_the_configuration(played: Played, tmp_path: Path, run: Run) -> None:
    wait_until_interpreted(played.gateway.database)
    merged = run("merge", str(played.gateway.database), "--storage", "sqlite:///own.db")
    assert merged.returncode == 0, merged.stderr
    shown = run("logs", "show", played.stream, "--storage", "sqlite:///own.db", "--raw", "response")
    assert shown.stdout.encode() == played.stream_bytes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("migrate", "sqlite:///none.db", "sqlite:///new.db"), 1, "there is no database"),
        (("migrate", "sqlite:///same.db", "sqlite:///same.db"), 2, "into itself"),
        (("migrate", "file.db", "sqlite:///new.db"), 2, "sqlite:///"),
        (("merge",), 2, "FROM"),
    ],
)
def test_what_cannot_be_moved_is_said(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    refused = run(*arguments)
    assert (refused.returncode, message in refused.stderr) == (code, True), refused.stderr
