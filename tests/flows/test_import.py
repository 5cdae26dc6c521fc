"""An import as it happens: beside a gateway at work, killed in the middle, twice at once, and from one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import httpx
import pytest

from tests.cli.command import plain_environment
from tests.cli.export_rows import helicone_row, summary, write_lines
from tests.client.chat_calls import ask
from tests.conftest import StartGateway
from tests.fork_server import start
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, read_metrics

ROWS = 2500

DEMO = ("--demo",)
CONFIG = {"providers": {"other": {"base_url": "http://127.0.0.1:1/v1"}}}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 2,500 requests, half of them rated."""
    return write_lines(tmp_path_factory.mktemp("export") / "rows.jsonl", map(helicone_row, range(ROWS)))


@pytest.fixture(scope="module")
def imported(file: Path) -> Path:
    """The database of one import that nothing disturbed."""
    database = file.parent / "imported.db"
    import_whole(file, database)
    return database


class Import:
    """An import on its way."""

    def __init__(self, file: Path, database: Path, log: IO[bytes]) -> None:
        arguments = ("import", str(file), "--storage", f"sqlite:///{database}")
        self.process = start(arguments, database.parent, plain_environment(), log)
        self._log = log

    def finish(self) -> list[str]:
        """Wait until all is imported, and return what was said of it but for the store."""
        with self.process.stdout as stdout:
            out = stdout.read()
        code = self.process.wait(60)
        self._log.seek(0)
        assert (code, complaints(self._log.read().decode())) == (0, [])
        return out.splitlines()[:2]


@contextmanager
def importing(file: Path, database: Path) -> Iterator[Import]:
    """An import on its way; killed with the block if it has not ended by then."""
    with TemporaryFile() as log:
        begun = Import(file, database, log)
        try:
            yield begun
        finally:
            begun.process.kill()
            begun.process.wait(60)
            begun.process.stdout.close()


def complaints(err: str) -> list[str]:
    """Return what was said beside the result, but for how far it is, of which a slow machine tells."""
    return [line for line in err.splitlines() if not line.endswith(" a second")]


def import_whole(file: Path, database: Path) -> list[str]:
    """Import a file to its end, and return what was said of it but for the store."""
    with importing(file, database) as begun:
        return begun.finish()


def kill_import(file: Path, database: Path) -> int:
    """Begin an import, end it as `kill -9` does once it has stored more, and return how much there is."""
    before = count(database)
    with importing(file, database):
        eventually(lambda: count(database) > before)
    return count(database)


def count(database: Path, table: str = "requests") -> int:
    """How many rows there are; none in a database that is still being made."""
    if not query(database, "SELECT 1 FROM sqlite_master WHERE name = ?", table):
        return 0
    return int(query(database, f"SELECT count(*) FROM {table}")[0][0])


def content(database: Path) -> list[list[tuple[object, ...]]]:
    """All that is stored, but for the order and the time in which it was."""
    requests = query(
        database, "SELECT * FROM requests LEFT JOIN payloads USING (seq) ORDER BY request_id, started_at_us"
    )
    feedback = query(database, "SELECT * FROM feedback ORDER BY feedback_id")
    left_out = {"seq", "interpreted_at_us"}
    return [
        [tuple(row[name] for name in row.keys() if name not in left_out) for row in rows]  # noqa: SIM118
        for rows in (requests, feedback)
    ]


def test_an_import_beside_a_gateway_at_work_disturbs_nobody(start_gateway: StartGateway, file: Path) -> None:
    gateway = start_gateway(CONFIG, arguments=DEMO)
    with importing(file, gateway.database) as begun, ThreadPoolExecutor(4) as pool:
        asked = 0
        while begun.process.poll() is None:
            list(pool.map(lambda _: ask(gateway.url, "live"), range(8)))
            asked += 8
        assert begun.finish() == summary(ROWS, ROWS, 0, ROWS // 2, ROWS // 2)

    live = "SELECT 1 FROM requests WHERE trace_id = 'live' AND interpreted_at_us IS NOT NULL"
    eventually(lambda: len(query(gateway.database, live)) == asked)
    assert count(gateway.database) == ROWS + asked
    assert read_metrics(gateway.url)["gateway_rows_lost_total"] == 0
    assert httpx.get(f"{gateway.url}/readyz").status_code == 200


def test_what_is_imported_takes_feedback_at_once(start_gateway: StartGateway, file: Path) -> None:
    gateway = start_gateway(CONFIG, arguments=DEMO)
    import_whole(file, gateway.database)

    for request_id, rating in (("helicone-0", False), ("helicone-1", True)):
        path = f"{gateway.url}/v1/request/{request_id}/feedback"
        httpx.post(path, json={"rating": rating}).raise_for_status()
    import_whole(file, gateway.database)

    rows = rows_of(gateway, {"request": {"id": {"like": "helicone-_"}}})
    assert [row["feedback_rating"] for row in rows] == [False, True, *[True, None] * 4]


def test_an_import_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    file: Path, imported: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed.db"
    killed.touch()
    reached = [kill_import(file, killed) for _ in range(3)]
    assert reached == sorted(set(reached))
    assert reached[-1] < ROWS

    import_whole(file, killed)

    assert content(killed) == content(imported)
    assert import_whole(file, killed) == summary(ROWS, 0, 0, ROWS // 2, 0)


def test_imports_of_the_same_file_at_the_same_time_add_each_row_once(
    file: Path, imported: Path, tmp_path: Path
) -> None:
    twice = tmp_path / "twice.db"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: import_whole(file, twice), range(2)))

    assert content(twice) == content(imported)


def test_what_a_gateway_answers_to_a_query_can_be_imported_into_another(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    prices = {"demo": {"input": 0.15, "output": 0.6}}
    first = start_gateway({**CONFIG, "prices": prices}, arguments=DEMO)
    play(first)
    file = tmp_path / "reply.json"
    file.write_text(httpx.post(f"{first.url}/v1/request/query", json={"limit": 1000}).text)
    second = start_gateway(CONFIG, arguments=DEMO)

    assert import_whole(file, second.database) == summary(6, 6, 0, 4, 4)

    told, kept = rows_of(first), rows_of(second)
    assert list(map(carried, kept)) == list(map(carried, told))
    assert sum(row["costUSD"] > 0 for row in kept if row["costUSD"] is not None) == 4


def play(gateway: RunningGateway) -> None:
    """Have something of everything in the log: answers, a stream, a failure, tags, ratings and scores."""
    ids = [
        ask(gateway.url, "trace", user="bob").headers["helicone-id"],
        ask(gateway.url, "trace", stream=True, stream_options={"include_usage": True}).headers["helicone-id"],
        call(gateway, {"model": "demo", "input": "Hello"}, "responses").headers["helicone-id"],
        call(gateway, {"model": "demo", "input": ["Hello"]}, "embeddings").headers["helicone-id"],
        call(gateway, {"model": "demo", "messages": "none"}).headers["helicone-id"],
        call(gateway, {"model": "m"}, provider="other").headers["helicone-id"],
    ]
    read = "SELECT 1 FROM requests WHERE interpreted_at_us IS NOT NULL"
    eventually(lambda: len(query(gateway.database, read)) == len(ids))
    judge(gateway, ids[0], "feedback", {"rating": True})
    judge(gateway, ids[1], "feedback", {"rating": False}, "ann")
    judge(gateway, ids[1], "score", {"scores": {"accuracy": 0.5, "passed": True}})
    property_path = f"{gateway.url}/v1/request/{ids[2]}/property"
    httpx.put(property_path, json={"key": "_prompt", "value": "greeting"}).raise_for_status()


def call(
    gateway: RunningGateway, body: object, path: str = "chat/completions", provider: str = "demo"
) -> httpx.Response:
    headers = {"x-portkey-provider": provider, "Helicone-Session-Id": "run", "Helicone-Property-Plan": "pro"}
    return httpx.post(f"{gateway.url}/v1/{path}", json=body, headers=headers)


def judge(gateway: RunningGateway, request_id: str, path: str, body: object, user: str | None = None) -> None:
    headers = {} if user is None else {"Helicone-User-Id": user}
    url = f"{gateway.url}/v1/request/{request_id}/{path}"
    httpx.post(url, json=body, headers=headers).raise_for_status()


def carried(row: dict[str, Any]) -> dict[str, Any]:
    """What a row carries: not who rated in which trace, which make the rating's id, nor a wait of less than a
    millisecond."""
    return {
        **row,
        "feedback_id": row["feedback_id"] is not None,
        "time_to_first_token": row["time_to_first_token"] or None,
    }


def rows_of(gateway: RunningGateway, filter: object = "all") -> list[Any]:
    """What Helicone's query answers, the oldest request first."""
    body = {"filter": filter, "limit": 1000, "sort": {"created_at": "asc"}}
    reply = httpx.post(f"{gateway.url}/v1/request/query-clickhouse", json=body).raise_for_status()
    rows: list[Any] = reply.json()["data"]
    return rows
