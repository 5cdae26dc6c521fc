from __future__ import annotations

import os

import pytest

from benchmarks.compare import Added, Figures, Row
from benchmarks.reach import AIMS, Aim, Check, NotMeasured, reach_table
from benchmarks.storing import VOTES, Stored
from benchmarks.tasks import Results


def row(case: str, contestant: str, cpu_us: float, rate: float = 1) -> Row:
    return Row(case, contestant, Figures(cpu_us, rate, 1, 1, 1), ())


def lines(results: Results) -> list[str]:
    return reach_table(results, AIMS).splitlines()[2:]


def reached(results: Results, aim: str) -> str:
    return next(line for line in lines(results) if aim in line)


def test_every_aim_is_told_of_even_if_nothing_was_measured() -> None:
    found = lines({})
    assert len(found) == len(AIMS)
    assert all("not measured" in line for line in found)


def test_cost_is_told_in_times_that_of_a_peer() -> None:
    results: Results = {"comparison": [row("json:16", "gateway", 100), row("json:16", "nginx", 20)]}
    assert reached(results, "JSON request, 16").endswith("| ≤ 8 × nginx's | 5.0 × nginx's | yes |")


def test_a_peer_that_costs_too_little_more_is_told_of_as_well() -> None:
    results: Results = {"comparison": [row("json:16", "gateway", 100), row("json:16", "portkey", 399)]}
    assert reached(results, "Portkey's CPU of it to ours, 16").endswith("| ≥ 4 × | 4.0 × | **no** |")


def test_times_are_in_milliseconds() -> None:
    results: Results = {"added": [Added("nginx", 1, 1), Added("gateway", 290, 2100)]}
    assert reached(results, "single caller, median").endswith("| ≤ 0.3 ms | 0.29 ms | yes |")
    assert reached(results, "single caller, p99").endswith("| ≤ 2 ms | 2.1 ms | **no** |")


@pytest.mark.parametrize(
    ("cpu_us", "alone", "verdict"), [(100, 5000, "yes"), (1000, 1000, "yes"), (1000, 5000, "**no**")]
)
def test_an_aim_is_reached_by_any_of_its_checks(cpu_us: float, alone: float, verdict: str) -> None:
    results: Results = {
        "comparison": [row("feedback:64", "gateway", cpu_us, rate=4000)],
        "storing": [Stored(VOTES, 1, alone, 1), Stored(VOTES, 64, 9999, 1)],
    }
    assert reached(results, "votes").endswith(f"| {verdict} |")


def test_two_workers_are_judged_only_where_there_are_cores_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = [row("json:64", "gateway", 1, rate=1000), row("json:64", "gateway-2", 1, rate=1900)]
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert "here are 2" in reached({"comparison": rates}, "two workers")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert reached({"comparison": rates}, "two workers").endswith("| ≥ 1.8 × | 1.9 × | yes |")


def test_a_figure_that_is_missing_is_named() -> None:
    def missing(results: Results) -> float:
        raise NotMeasured("such and such")

    table = reach_table({}, [Aim("something", (Check(1, "ms", missing),))])
    assert table.endswith("| something | ≤ 1 ms | not measured: such and such | – |")
