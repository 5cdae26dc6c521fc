from __future__ import annotations

import re
from pathlib import Path

from tests.cli.conftest import Played, Run
from tests.client.chat_calls import ask


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
