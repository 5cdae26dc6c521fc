"""Figures of several processes as one."""

from __future__ import annotations

import pickle

from gateway.models.process_metrics import MetricFamilies, MetricFamily, sum_families, without_gauges

OPENAI = (("provider", "openai"),)
OTHER = (("provider", "other"),)


def counted(
    requests: float, *, since: float = 0.0, labels: tuple[tuple[str, str], ...] = OPENAI
) -> MetricFamilies:
    values = {("requests_total", labels): requests, ("requests_created", labels): since}
    return {"requests": MetricFamily("counter", "Requests.", values)}


def waiting(count: float) -> MetricFamilies:
    return {"waiting": MetricFamily("gauge", "Requests that wait.", {("waiting", ()): count})}


def test_of_no_process_there_are_no_figures() -> None:
    assert sum_families([]) == {}


def test_counters_and_gauges_are_added_by_name_and_label() -> None:
    total = sum_families(
        [{**counted(2), **waiting(1)}, counted(3), {**counted(5, labels=OTHER), **waiting(4)}]
    )
    assert total["requests"].values[("requests_total", OPENAI)] == 5
    assert total["requests"].values[("requests_total", OTHER)] == 5
    assert total["waiting"].values == {("waiting", ()): 5}


def test_what_is_added_up_stays_as_it_was() -> None:
    first = counted(2)
    sum_families([first, counted(3)])
    assert first == counted(2)


def test_counting_began_when_the_first_process_began() -> None:
    total = sum_families([counted(1, since=200.0), counted(1, since=100.0)])
    assert total["requests"].values[("requests_created", OPENAI)] == 100.0


def test_only_what_was_counted_lasts() -> None:
    assert without_gauges({**counted(2), **waiting(1)}) == counted(2)


def test_figures_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(counted(2))) == counted(2)


def test_of_what_every_process_knows_of_all_the_greatest_holds() -> None:
    def used(amount: float) -> MetricFamilies:
        return {"used": MetricFamily("gauge", "Used.", {("used", OPENAI): amount}, is_shared=True)}

    assert sum_families([used(2), used(5), used(3)])["used"].values == {("used", OPENAI): 5}
    assert without_gauges(used(2)) == {}
