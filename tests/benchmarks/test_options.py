from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compare import Case
from benchmarks.options import parser, plan_of
from benchmarks.plan import FULL, QUICK, Plan


def plan(*arguments: str) -> Plan:
    return plan_of(parser().parse_args(arguments))


def test_everything_is_measured_unless_something_else_is_said() -> None:
    assert parser().parse_args([]).task == "all"
    assert plan() == FULL
    assert plan("--quick") == QUICK


def test_what_is_said_goes_into_the_plan() -> None:
    said = plan(
        "--quick", "--contestants", "gateway,direct", "--cases", "json:2,feedback:3", "--sizes", "9,8"
    )
    assert [contestant.name for contestant in said.contestants] == ["gateway", "direct"]
    assert said.cases == [Case("json", 2), Case("feedback", 3)]
    assert said.profiled == [Case("json", 2)]
    assert said.sizes == [8, 9]
    assert said.rows == QUICK.rows


def test_seconds_are_for_rounds_and_for_all_else() -> None:
    said = plan("--seconds", "7", "--rounds", "5")
    assert (said.seconds, said.rounds.seconds, said.rounds.count) == (7, 7, 5)


def test_minutes_are_for_a_soak() -> None:
    assert plan("soak", "--minutes", "0.5").soak_seconds == 30
    assert (plan("soak").soak_seconds, plan("soak", "--quick").soak_seconds) == (600, 30)


def test_more_workers_are_one_more_contestant(tmp_path: Path) -> None:
    contestants = plan("--workers", "2").contestants
    assert [contestant.name for contestant in contestants][-1] == "gateway-2"
    assert contestants[-1].command_of is not None
    contestants[-1].command_of(tmp_path, 1234, 5678)
    assert "workers: 2" in (tmp_path / "gateway.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--contestants", "apache"], "there are direct, nginx, gateway, portkey, litellm"),
        (["--cases", "xml:1"], "kinds are json, sse, feedback"),
        (["--write", "no-such-file.md"], "no-such-file.md is no file"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_measured(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(arguments)
    assert word in capsys.readouterr().err
