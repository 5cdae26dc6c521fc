from __future__ import annotations

from benchmarks.compare import Figures, Row
from benchmarks.half_rate import HalfRate, Times
from benchmarks.million import Cost
from benchmarks.partitions import Found
from benchmarks.slow_streams import SlowStreams
from benchmarks.soak import Kept
from benchmarks.tables import (
    comparison_table,
    half_rate_table,
    kept_table,
    million_table,
    partitions_table,
    slow_streams_table,
    soak_table,
    table,
    trends_table,
)
from benchmarks.tasks import TASKS
from benchmarks.vitals import Trend, Vitals


def test_names_stand_left_and_figures_right() -> None:
    assert table(("a", "b", "c"), [("x", "1", "2")], names=1).splitlines() == [
        "| a | b | c |",
        "| --- | ---: | ---: |",
        "| x | 1 | 2 |",
    ]


def test_a_contestant_without_processes_has_no_cpu_or_memory() -> None:
    figures = Figures(cpu_us=0, requests_per_second=12345.6, p50_us=100, p99_us=2500, rss_mib=0)
    line = comparison_table([Row("json:1", "direct", figures, (figures,))]).splitlines()[-1]
    assert line == "| json:1 | direct | – | 12,346 | 0.10 | 2.50 | – |"


def test_what_is_added_is_told_beside_what_it_is_added_to() -> None:
    row = HalfRate("nginx", 1000.4, through=Times(300, 900), direct=Times(100, 400))
    assert half_rate_table([row]).splitlines()[-1] == "| nginx | 1,000 | 0.30 | 0.90 | 0.20 | 0.50 |"


def test_who_logs_nothing_has_nothing_to_be_logged() -> None:
    row = SlowStreams("nginx", kib_a_stream=4.25, logged_kib_a_stream=0, delay_p99_us=100, longest_us=3000)
    assert slow_streams_table([row]).splitlines()[-1] == "| nginx | 4.2 | – | 0.10 | 3.00 |"


def test_a_soak_is_told_at_rest_in_ten_parts_and_at_rest_again() -> None:
    looks = [Vitals(float(at_s), 100.04, 50, 20, 30, 3, 10, 0, 1, 64.0, 0.0, 0) for at_s in range(122)]
    lines = soak_table(looks).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| 0", "| 1", "| 13", "| 25", "| 37", "| 49", "| 61", "| 73", "| 85", "| 97", "| 109", "| 121"
    ]  # fmt: skip
    assert lines[0] == "| 0 | 100.0 | 50 | 20 | 30 | 3 | 10 | 0 | 1 | 64.0 | 0.0 |"


def test_what_is_missing_from_the_store_is_lost() -> None:
    assert kept_table([Kept("json", 36_000, 35_999)]).splitlines()[-1] == "| json | 36,000 | 35,999 | 1 |"


def test_what_is_not_flat_stands_out() -> None:
    line = trends_table([Trend("RSS MiB", 100, 120, 12.34, False)]).splitlines()[-1]
    assert line == "| RSS MiB | 100.0 | 120.0 | +12.3 | **no** |"


def test_long_tasks_are_done_only_where_they_are_asked_for() -> None:
    assert {name for name, task in TASKS.items() if task.is_long} == {
        "alerts", "copying", "experiments", "exports", "million", "outages", "pages", "partitions", "replays",
        "searches", "server-questions", "soak", "webhooks",
    }  # fmt: skip


def test_every_task_says_what_it_finds_out() -> None:
    assert all(task.about for task in TASKS.values())


def test_what_a_million_costs_is_told_in_seconds_and_gibibytes() -> None:
    rows = [
        Cost("SQLite", "votes", 5000.4, 217.4, 0.0, 2**30, 0.0),
        Cost("PostgreSQL", "votes", 400.0, 800.0, 1500.0, 2**29, 2**31),
    ]
    assert million_table(rows).splitlines()[2:] == [
        "| SQLite | votes | 5,000 | 217 | – | 1.00 | – |",
        "| PostgreSQL | votes | 400 | 800 | 1,500 | 0.50 | 2.00 |",
    ]


def test_each_number_of_partitions_has_a_column() -> None:
    rows = [Found("an id", 1, 0.2), Found("a row", 1, 0.1), Found("an id", 30, 2.0), Found("a row", 30, 1.5)]
    assert partitions_table(rows).splitlines() == [
        "| milliseconds to find | one table | 30 days |",
        "| --- | ---: | ---: |",
        "| an id | 0.20 | 2.00 |",
        "| a row | 0.10 | 1.50 |",
    ]
