"""The code on docs/data-tools.md runs as printed, on the database of a gateway that is running."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

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
def datasette(gateway: RunningGateway) -> Iterator[str]:
    """Serve the database with the command of the page, on another port; yields its URL."""
    port = closed_port()
    command = block("Datasette", "console").removeprefix("$ ").replace("8001", str(port))
    with subprocess.Popen(
        [sys.executable, "-m", *command.split()],
        cwd=gateway.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.mark.skipif(not find_spec("pandas"), reason="pandas is not installed")
def test_pandas_reads_the_views(filled: RunningGateway) -> None:
    printed = run_python(filled, block("pandas", "python"))
    assert re.search(r"demo-chat\s+\d+\s+0\.0\s+\S+", printed)
    assert re.search(r"bob\s+-1\.0\s+Too long", printed)


def test_bodies_are_text_and_can_be_searched(filled: RunningGateway) -> None:
    printed = run_python(filled, block("Bodies", "python"))
    assert '{"id": "chatcmpl-' in printed


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.skipif(not find_spec("duckdb"), reason="duckdb is not installed")
def test_duckdb_reads_the_files(filled: RunningGateway) -> None:
    done = run(filled, "bash", "-euc", block("Files instead of the database", "sh"))
    assert done.returncode == 0, done.stderr
    printed = run_python(filled, block("DuckDB", "python"))
    assert "demo-chat" in printed
    assert "blue" in printed
    assert "Too long" in printed


@pytest.mark.skipif(not find_spec("duckdb"), reason="duckdb is not installed")
def test_duckdb_reads_the_database(filled: RunningGateway) -> None:
    if run(filled, sys.executable, "-c", "import duckdb; duckdb.execute('INSTALL sqlite')").returncode:
        pytest.skip("the extension `sqlite` cannot be downloaded")
    assert run_python(filled, block("DuckDB", "python", 1)).count("demo-chat") == 2


@pytest.mark.skipif(not find_spec("datasette"), reason="datasette is not installed")
def test_datasette_shows_new_rows_and_the_text_of_bodies(filled: RunningGateway) -> None:
    (filled.folder / "plugins").mkdir(exist_ok=True)
    (filled.folder / "plugins" / "bodies.py").write_text(block("Datasette", "python"))
    sql = block("Datasette", "sql")
    with datasette(filled) as url:

        def answers() -> list[str]:
            try:
                reply = httpx.get(
                    f"{url}/gateway.json", params={"sql": sql, "_shape": "array"}, trust_env=False
                )
            except httpx.TransportError:
                return []
            return [row["answer"] for row in reply.raise_for_status().json()]

        before = eventually(answers)
        assert all("chat.completion" in answer for answer in before)
        trace = {**KEY, "x-portkey-trace-id": "table-later"}
        body = {"model": "demo-chat", "messages": [{"role": "user", "content": QUESTION}]}
        httpx.post(f"{filled.url}/v1/chat/completions", headers=trace, json=body).raise_for_status()
        assert len(answers()) == len(before) + 1
