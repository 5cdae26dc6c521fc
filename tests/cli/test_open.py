"""`gateway open --datasette`: the store in the real Datasette, without a secret on any page."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from click.testing import CliRunner

from gateway.cli.open import _read_texts, describe_tables, open_command
from gateway.errors import StoreUnavailable
from gateway.store import AnalystFile, open_for_analysts, open_store
from tests.store.samples import FACTS, exchange, feedback

pytest.importorskip("datasette")

TOKEN = "token-of-the-test"
CANARY = "canary-5f1d"
SHOWN = "a comment that analysts see"
PAGES = (
    "/",
    "/log",
    "/log/feedback_facts",
    "/log/request_facts",
    "/log/feedback_report.csv",
    "/log/requests.json",
    "/log/requests/1",
    "/-/databases.json",
)
ATTACKS = [
    "SELECT * FROM main.keys AS requests",
    "WITH requests AS (SELECT sha256 AS comment FROM keys) SELECT * FROM requests",
    "SELECT (SELECT key FROM export_link_key)",
    "SELECT seq FROM requests WHERE (SELECT count(*) FROM sign_ins WHERE token_sha256 LIKE 'c%')",
]


@pytest.fixture
async def file(tmp_path: Path) -> AnalystFile:
    """A store with a request, feedback, and a canary in each column of each table that is hidden."""
    url = f"sqlite:///{tmp_path}/log.db"
    store = await open_store(url)
    body = f'{{"messages":[{{"role":"user","content":"{CANARY}"}}]}}'.encode()
    [seq] = await store.append([exchange(request_body=body, request_size=len(body))])
    await store.annotate([(seq, FACTS)], at_us=5)
    await store.put_feedback([feedback(comment=SHOWN)])
    await store.close()
    file = open_for_analysts(url)
    with closing(sqlite3.connect(file.path)) as connection, connection:
        for table in set(file.hidden) - {"migrations", "payloads"}:
            _add_canary(connection, table)
    return file


def _add_canary(connection: sqlite3.Connection, table: str) -> None:
    values = {"TEXT": CANARY, "BLOB": CANARY.encode(), "INTEGER": 1, "REAL": 1.0}
    rows = connection.execute(f"PRAGMA table_info({table})").fetchall()
    row = [values.get(kind, CANARY) for _, _, kind, *_ in rows]
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)


async def served(file: AnalystFile) -> AsyncIterator[httpx.AsyncClient]:
    from datasette.plugins import pm

    from gateway.cli.datasette_server import build_app

    app = build_app(file, describe_tables(file), TOKEN)
    try:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as client:
            yield client
    finally:
        pm.unregister(name="gateway")


@pytest.fixture
async def client(file: AnalystFile) -> AsyncIterator[httpx.AsyncClient]:
    async for client in served(file):
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client


async def test_no_page_file_or_query_shows_what_is_hidden(
    file: AnalystFile, client: httpx.AsyncClient
) -> None:
    hidden = {"keys", "sign_ins", "payloads", "export_link_key", "receipts", "audit", "exports", "spendings"}
    assert hidden <= set(file.hidden)
    with closing(sqlite3.connect(file.path)) as connection:
        file.prepare(connection)
        for sql in ATTACKS + [f"SELECT * FROM {table}" for table in file.hidden]:
            with pytest.raises(sqlite3.DatabaseError, match=r"prohibited|not authorized"):
                connection.execute(sql)
    # The second is where Datasette 1.0 has it.
    queries = [
        f"{path}?{urlencode({'sql': sql})}" for path in ("/log.json", "/log/-/query.json") for sql in ATTACKS
    ]
    paths = [*queries, *(f"/log/{table}.csv" for table in hidden), "/log/keys", *PAGES]
    seen = {path: (await client.get(path)).text for path in paths}
    assert {path for path, text in seen.items() if CANARY in text} == set()
    assert SHOWN in seen["/log/feedback_facts"]
    assert "Microseconds since 1970" in seen["/log/request_facts"]
    assert {name for name in file.hidden if f'/log/{name}"' in seen["/log"]} == set()


async def test_nothing_is_written_and_nobody_comes_in_without_the_token(
    file: AnalystFile, client: httpx.AsyncClient
) -> None:
    for token in ("", "Bearer wrong"):
        assert (await client.get("/log.json", headers={"authorization": token})).status_code == 403
    reply = await client.get(f"/log?sql=SELECT+1&token={TOKEN}", headers={"authorization": ""})
    assert (reply.status_code, reply.headers["location"]) == (303, "/log?sql=SELECT+1")
    cookie = reply.headers["set-cookie"].partition(";")[0]
    headers = {"authorization": "", "cookie": cookie}
    assert (await client.get("/log/request_facts.json", headers=headers)).status_code == 200
    reply = await client.get(f"http://127.0.0.1:8001//evil.example/?token={TOKEN}")
    assert reply.headers["location"] == "/evil.example/"

    with closing(sqlite3.connect(file.path)) as connection:
        file.prepare(connection)
        for sql in (
            "DELETE FROM requests",
            "CREATE TABLE t (c)",
            "ATTACH ':memory:' AS other",
        ):
            with pytest.raises(sqlite3.DatabaseError):
                connection.execute(sql)


async def test_question_and_answer_are_sql_functions_where_they_are_asked_for(file: AnalystFile) -> None:
    with_texts = open_for_analysts(f"sqlite:///{file.path}", _read_texts)
    with closing(sqlite3.connect(f"file:{file.path}?mode=ro", uri=True)) as connection:
        with_texts.prepare(connection)
        found = connection.execute(
            "SELECT question(seq), answer(seq), question(99) FROM request_facts"
        ).fetchall()
        assert found == [(CANARY, None, None)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a tool: --datasette"),
        (["--datasette", "--storage", "sqlite:///missing.db"], "there is no database"),
        (["--datasette", "--storage", "postgresql://u@h/d"], "this command is for SQLite files"),
    ],
)
def test_what_cannot_be_opened_says_why(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(open_command, arguments)
    assert message in f"{result.output} {result.exception}"


async def test_without_datasette_the_extra_is_named(
    file: AnalystFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gateway.cli.datasette_server", None)
    result = CliRunner().invoke(open_command, ["--datasette", "--storage", f"sqlite:///{file.path}"])
    assert isinstance(result.exception, StoreUnavailable)
    assert "pip install 'feedback-gateway[datasette]'" in str(result.exception)
