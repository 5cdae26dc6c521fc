"""The code on docs/data-tools.md runs as printed, on the database of a gateway that is running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.gateway_process import RunningGateway
from tests.log_reader import wait_until_stored

PAGE = (Path(__file__).parents[2] / "docs" / "data-tools.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUESTION = "Please repeat this sentence, so that its answer is long enough to be compressed. " * 3
PATIENCE_SECONDS = 120

KEY = {"x-portkey-api-key": GATEWAY_KEY}


def block(heading: str, language: str, number: int = 0) -> str:
    """Return a block of code under a heading of the page."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks: list[tuple[str, str]] = BLOCK.findall(section)
    return [code for found, code in blocks if found == language][number]


def run(gateway: RunningGateway, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the database is."""
    return subprocess.run(
        command,
        cwd=gateway.folder,
        env={**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": GATEWAY_KEY},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def run_python(gateway: RunningGateway, code: str) -> str:
    """Run code in an interpreter of its own and return what it printed; it must succeed."""
    done = run(gateway, sys.executable, "-c", code)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def filled(demo: RunningGateway) -> RunningGateway:
    """A running gateway with three requests and feedback on two of them."""
    for number in range(3):
        httpx.post(
            f"{demo.url}/v1/chat/completions",
            headers={
                **KEY,
                "x-portkey-trace-id": f"table-{number}",
                "x-portkey-metadata": '{"team": "blue"}',
            },
            json={"model": "demo-chat", "messages": [{"role": "user", "content": QUESTION}]},
        ).raise_for_status()
        read_trace(demo, f"table-{number}")
    httpx.post(
        f"{demo.url}/api/v1/feedback",
        headers=KEY,
        json=[
            {"id": "table-0", "thumb": "up", "author": "ann"},
            {"id": "table-1", "thumb": "down", "author": "bob", "comment": "Too long"},
        ],
    ).raise_for_status()
    return demo


@contextmanager
def datasette(gateway: RunningGateway) -> Iterator[tuple[str, str]]:
    """Run the command of the page on a free port; yields its URL and token."""
    command = block("Datasette", "console").splitlines()[-1].removeprefix("$ gateway ").split()
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *command, "--port", "0", "--storage", "sqlite:///gateway.db"],
        cwd=gateway.folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            url, _, token = process.stdout.readline().rpartition(" ")[2].strip().partition("/?token=")
            yield url, token
        finally:
            process.terminate()


@pytest.mark.skipif(not find_spec("pandas"), reason="pandas is not installed")
def test_pandas_reads_through_the_client_and_the_views(filled: RunningGateway) -> None:
    printed = run_python(filled, block("pandas", "python"))
    assert re.search(r"demo-chat\s+\d+\s+0\.0", printed)
    assert re.search(r"bob .* Hello from the demo!", printed)
    printed = run_python(filled, block("pandas", "python", 1))
    # Other examples may have given feedback on the same gateway.
    found = re.search(r"demo-chat\s+0\s+(-?[\d.]+)\s+([\d.]+)\s+(-?[\d.]+)", printed)
    assert found is not None
    weighted, weight, score = map(float, found.groups())
    assert weight >= 2
    assert score == pytest.approx(weighted / weight, abs=1e-6)


# Columns and types of an export, where there is no library to write one.
PARQUET = """
import duckdb
duckdb.sql('''SELECT 'demo-chat' AS model, '{"team": "blue"}' AS metadata, now() AS started_at, -1.0 AS score,
    1.0 AS feedback_weight, 'Why?' AS question, 'Too long' AS comments''').write_parquet("requests.parquet")
"""


@pytest.mark.skipif(not find_spec("duckdb"), reason="duckdb is not installed")
def test_duckdb_reads_a_parquet_file(filled: RunningGateway) -> None:
    export = block("DuckDB", "console").split()[2:]
    storage = ("--storage", "sqlite:///gateway.db")
    if not find_spec("pyarrow") or run(filled, sys.executable, "-m", "gateway", *export, *storage).returncode:
        run_python(filled, PARQUET)
    printed = run_python(filled, block("DuckDB", "python"))
    assert re.search(r"demo-chat\W+blue\W+\d ", printed)
    assert "Too long" in printed


@pytest.mark.skipif(not find_spec("duckdb"), reason="duckdb is not installed")
def test_duckdb_reads_the_database(filled: RunningGateway) -> None:
    if run(filled, sys.executable, "-c", "import duckdb; duckdb.execute('INSTALL sqlite')").returncode:
        pytest.skip("the extension `sqlite` cannot be downloaded")
    assert run_python(filled, block("DuckDB", "python", 1)).count("demo-chat") == 1


@pytest.mark.skipif(not find_spec("datasette"), reason="datasette is not installed")
def test_datasette_shows_new_rows_and_the_text_of_bodies(filled: RunningGateway) -> None:
    sql = block("Datasette", "sql").replace("Hello", "repeat")
    with datasette(filled) as (url, token):

        def answers() -> list[str]:
            reply = httpx.get(
                f"{url}/gateway.json",
                params={"sql": sql, "_shape": "array"},
                headers={"authorization": f"Bearer {token}"},
                trust_env=False,
                timeout=PATIENCE_SECONDS,
            )
            return [row["answer"] for row in reply.raise_for_status().json()]

        before = answers()
        assert before
        trace = {**KEY, "x-portkey-trace-id": "table-later"}
        body = {"model": "demo-chat", "messages": [{"role": "user", "content": QUESTION}]}
        httpx.post(f"{filled.url}/v1/chat/completions", headers=trace, json=body).raise_for_status()
        wait_until_stored(filled.database)
        assert len(answers()) == len(before) + 1
