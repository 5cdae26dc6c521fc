"""Commands on a store in PostgreSQL: each works, or says what does instead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.cli import export, logs
from gateway.datasets.export_query import ExportQuery
from gateway.models.feedback import FeedbackSummary
from gateway.models.filters import NO_FILTER
from gateway.models.request import Facts, RequestRecord
from gateway.query.tail import LogFrontier
from gateway.store import open_store, requests
from gateway.store.base import Store, leave_encoded
from tests.cli.command import run_gateway
from tests.cli.conftest import Played, Run
from tests.log_reader import eventually, wait_until_interpreted
from tests.store.samples import exchange

pytestmark = pytest.mark.skipif(not find_spec("psycopg"), reason="there is no PostgreSQL to test with")


@pytest.fixture
def moved(played: Played, postgres_url: str) -> Played:
    """What was played, brought into the database."""
    wait_until_interpreted(played.gateway.database)
    migrated = played.run("migrate", f"sqlite:///{played.gateway.database}", postgres_url)
    assert migrated.returncode == 0, migrated.stderr
    assert "all there" in migrated.stdout
    return played


def test_a_log_is_migrated_and_read_there(moved: Played, run: Run, postgres_url: str) -> None:
    listed = run("logs", "query", "--storage", postgres_url)
    assert listed.returncode == 0, listed.stderr
    assert moved.whole in listed.stdout
    shown = run("logs", "show", moved.stream, "--storage", postgres_url, "--raw", "response")
    assert shown.stdout.encode() == moved.stream_bytes


def test_feedback_is_given_and_listed(moved: Played, run: Run, postgres_url: str) -> None:
    given = run("feedback", "add", "first", "5", "--storage", postgres_url)
    assert given.returncode == 0, given.stderr
    listed = run("feedback", "list", "--storage", postgres_url)
    assert "first" in listed.stdout


async def test_a_row_that_appears_after_one_with_a_higher_number_is_followed_too(postgres_url: str) -> None:
    from gateway.store.postgres.connection import SHARED, PostgresConnection
    from gateway.store.postgres.dialect import TextPacker

    store, slow = await open_store(postgres_url), PostgresConnection(postgres_url)
    shown: list[str] = []

    def show(records: Sequence[RequestRecord], _: Mapping[int, FeedbackSummary]) -> None:
        shown.extend(record.request_id for record in records)

    await store.append([exchange("before")])
    following = asyncio.create_task(logs.follow_requests(postgres_url, NO_FILTER, 10, show))
    await eventually_shown(shown, ["before"])
    slow.begin(SHARED)
    requests.append_exchanges(slow, TextPacker(leave_encoded), [exchange("slow")])
    await store.append([exchange("quick")])
    await eventually_shown(shown, ["before", "quick"])
    slow.commit()
    await eventually_shown(shown, ["before", "quick", "slow"])

    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    slow.close()
    await store.close()


async def test_a_followed_file_waits_for_a_row_that_appears_after_one_with_a_higher_number(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.postgres.connection import SHARED, PostgresConnection
    from gateway.store.postgres.dialect import TextPacker

    store, slow = await open_store(postgres_url), PostgresConnection(postgres_url)
    file, looks = tmp_path / "growing.jsonl", asyncio.Semaphore(0)
    advance = LogFrontier.advance

    async def counted(frontier: LogFrontier) -> None:
        await advance(frontier)
        looks.release()

    async def is_written(expected: list[str]) -> None:
        await asyncio.to_thread(eventually, lambda: request_ids(file) == expected)

    monkeypatch.setattr(LogFrontier, "advance", counted)
    monkeypatch.setattr(export, "POLL_SECONDS", 0.02)
    await append_whole(store, "before")
    following = asyncio.create_task(
        export.follow_log(postgres_url, ExportQuery.read({"format": "jsonl"}), file, 0)
    )
    await is_written(["before"])
    slow.begin(SHARED)
    requests.ingest_exchanges(slow, TextPacker(leave_encoded), [(exchange("slow"), Facts())], 1)
    await append_whole(store, "quick")
    while not looks.locked():
        await looks.acquire()
    # Two whole looks while the earlier row cannot be seen.
    for _ in range(3):
        await looks.acquire()
    slow.commit()
    await is_written(["before", "slow", "quick"])

    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    slow.close()
    await store.close()


async def append_whole(store: Store, request_id: str) -> None:
    seqs = await store.append([exchange(request_id)])
    await store.annotate([(seq, Facts()) for seq in seqs], 1)


def request_ids(file: Path) -> list[str]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["request_id"] for line in lines]


async def eventually_shown(shown: list[str], expected: list[str]) -> None:
    await asyncio.to_thread(eventually, lambda: shown == expected)


def test_keys_are_made_listed_and_revoked(run: Run, postgres_url: str) -> None:
    assert run("keys", "create", "app", "--role", "proxy", "--storage", postgres_url).returncode == 0
    assert run("keys", "create", "app", "--role", "proxy", "--storage", postgres_url).returncode == 1
    assert "app" in run("keys", "list", "--storage", postgres_url).stdout
    assert run("keys", "revoke", "app", "--storage", postgres_url).returncode == 0


def test_it_is_compacted(moved: Played, run: Run, postgres_url: str) -> None:
    compacted = run("compact", "--storage", postgres_url)
    assert compacted.returncode == 0, compacted.stderr
    assert "before" in compacted.stdout


@pytest.mark.parametrize(
    ("command", "instead"), [(("backup", "copy.db"), "pg_dump"), (("restore", "copy.db"), "pg_restore")]
)
def test_copies_are_left_to_the_tools_of_the_database(
    run: Run, postgres_url: str, command: tuple[str, str], instead: str
) -> None:
    refused = run(*command, "--storage", postgres_url)
    assert refused.returncode == 2
    assert instead in refused.stderr


def config_for(folder: Path, postgres_url: str) -> None:
    (folder / "gateway.yaml").write_text(
        f"server: {{port: 0}}\nproviders: {{up: {{base_url: 'http://127.0.0.1:1/v1'}}}}\n"
        f"storage: {{url: '{postgres_url}'}}\n"
    )


def test_a_database_without_tables_yet_is_no_problem(tmp_path: Path, run: Run, postgres_url: str) -> None:
    empty = "&" if "?" in postgres_url else "?"
    config_for(tmp_path, f"{postgres_url}{empty}options=-csearch_path%3Dnot_there")
    looked = run("doctor", "--offline")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "there is none yet; the gateway creates it when it starts" in looked.stdout


def test_a_deployment_on_it_is_looked_at(tmp_path: Path, run: Run, postgres_url: str) -> None:
    config_for(tmp_path, postgres_url)
    looked = run("doctor", "--offline")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "of this version" in looked.stdout


def test_a_server_that_does_not_answer_is_a_problem_and_the_password_is_not_shown(
    tmp_path: Path, run: Run
) -> None:
    config_for(tmp_path, "postgresql://me:sesame@127.0.0.1:1/gateway")
    (tmp_path / "gateway.yaml").chmod(0o600)
    looked = run("doctor", "--offline")
    assert looked.returncode == 1
    assert "connection refused" in looked.stdout
    assert "holds secrets: storage.url" in looked.stdout
    checked = run("check")
    assert "postgresql://127.0.0.1:1/gateway" in checked.stdout
    served = run("serve", "--port", "0")
    assert served.returncode == 1
    assert "connection refused" in served.stderr
    for told in (looked, checked, served):
        assert "sesame" not in told.stdout + told.stderr


def test_without_the_driver_it_is_said_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError(name='psycopg')\n")
    refused = run_gateway(
        "keys", "list", "--storage", "postgresql://h/d",
        cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "pip install 'feedback-gateway[postgres]'" in refused.stderr
