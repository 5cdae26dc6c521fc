"""`gateway migrate` and `gateway merge`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Played, Run
from tests.log_reader import query, wait_until_interpreted


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
