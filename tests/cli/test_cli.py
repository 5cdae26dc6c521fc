from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from tests.cli.command import COMMAND, plain_environment
from tests.cli.conftest import Run

HEAVY = ("aiohttp", "pydantic", "httpx", "gateway.store", "gateway.config")


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for name in ("serve", "check", "keys", "feedback", "import", "logs"):
        assert f"\n  {name} " in shown.stdout


@pytest.mark.parametrize("arguments", [["check"], ["keys", "create"]])
def test_each_command_explains_itself(run: Run, arguments: list[str]) -> None:
    shown = run(*arguments, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"Usage: gateway {' '.join(arguments)}")


@pytest.mark.parametrize("arguments", [[], ["logs"], ["keys"], ["feedback"]])
def test_a_group_without_a_command_prints_its_help(run: Run, arguments: list[str]) -> None:
    shown = run(*arguments)
    assert shown.returncode == 2
    assert shown.stdout.startswith(" ".join(["Usage: gateway", *arguments, "[OPTIONS] COMMAND"]))
    assert "\nCommands:\n" in shown.stdout
    assert shown.stderr == ""


def test_a_misspelt_command_is_answered_with_the_nearest(run: Run) -> None:
    assert "Did you mean 'serve'?" in run("serv").stderr


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"gateway {__version__}\n"


def test_help_loads_none_of_what_the_commands_need() -> None:
    code = (
        "import sys\nfrom gateway.cli import commands\n"
        "commands.main(['--help'], standalone_mode=False)\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(' '.join(loaded) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fly"], "fly"),
        (["check", "--wings"], "--wings"),
        (["keys", "create", "app"], "--role"),
        (["logs", "query", "--metadata", "plan"], "KEY=VALUE"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, arguments: list[str], named: str) -> None:
    refused = run(*arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert named in line
    assert "--help'" in line


@pytest.mark.parametrize(
    "arguments", [["logs", "tail"], ["logs", "query"], ["feedback", "list"], ["keys", "list"]]
)
def test_reading_makes_no_database(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    refused = run(*arguments, "--storage", "sqlite:///absent.db")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"error: there is no database {tmp_path}/absent.db")
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_the_demo_is_pointed_at_where_it_lies_here(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway-demo.db").touch()
    assert "--storage sqlite:///gateway-demo.db" in run("logs", "tail").stderr


def test_a_file_that_is_no_database_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_text("not a database, and longer than the header of one" * 100)
    refused = run("logs", "tail")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "not a SQLite database" in line


def test_a_storage_url_of_another_kind_is_wrong_usage(run: Run) -> None:
    refused = run("logs", "tail", "--storage", "mysql://localhost/db")
    assert refused.returncode == 2
    assert "sqlite:///" in refused.stderr


def test_a_reader_that_has_had_enough_ends_a_command_quietly(run: Run, tmp_path: Path) -> None:
    run("keys", "create", "app", "--role", "proxy")
    with subprocess.Popen(
        [*COMMAND, "keys", "list"],
        cwd=tmp_path,
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
