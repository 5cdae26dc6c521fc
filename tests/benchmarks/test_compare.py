from __future__ import annotations

from benchmarks.compare import Added, Case, Figures, Row, added, median_of
from benchmarks.contestants import DIRECT, GATEWAY


def row(case: str, contestant: str, p50_us: float, p99_us: float) -> Row:
    return Row(case, contestant, Figures(1, 1, p50_us, p99_us, 1), ())


def test_each_figure_has_its_own_median() -> None:
    rounds = [Figures(1, 30, 5, 5, 5), Figures(2, 10, 5, 5, 5), Figures(9, 20, 5, 5, 5)]
    assert median_of(rounds) == Figures(2, 20, 5, 5, 5)


def test_what_is_added_for_a_single_caller_is_the_difference_to_none_between() -> None:
    rows = [row("json:1", "direct", 10, 50), row("json:1", "nginx", 30, 90), row("json:16", "nginx", 1, 1)]
    assert added(rows) == [Added("nginx", 20, 40)]


def test_nothing_is_known_to_be_added_where_the_upstream_alone_was_not_measured() -> None:
    assert added([row("json:1", "nginx", 30, 90)]) == []


def test_only_who_takes_feedback_is_asked_to() -> None:
    assert [Case("feedback", 64).is_for(each) for each in (DIRECT, GATEWAY)] == [False, True]
    assert Case("json", 64).is_for(DIRECT)
