"""A soak in small: whatever comes and goes, what a gateway holds goes back to what it was."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.contestants import GATEWAY
from benchmarks.lineup import running
from benchmarks.soak import Soaked, soak
from benchmarks.upstream import Pace
from benchmarks.vitals import Vitals, trend_of, trends_of

LOADS = {"json", "streams", "left", "portkey", "helicone", "pharia"}


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("soak") / "soak"
    with running([GATEWAY], folder, Pace(chunks=5, gap_ms=50)) as (gateway,):
        return soak(gateway, folder / GATEWAY.name / "gateway.db", 4, lambda line: None)


def test_nothing_is_lost_of_all_that_goes_on_at_once(soaked: Soaked) -> None:
    assert {kept.what for kept in soaked.kept} == LOADS
    assert all(kept.known > 0 for kept in soaked.kept)
    assert [kept for kept in soaked.kept if kept.lost] == []
    assert soaked.after.rows_lost == 0


def test_requests_connections_descriptors_and_tasks_go_back_to_what_they_were(soaked: Soaked) -> None:
    before, after = soaked.before, soaked.after
    assert max(look.in_flight for look in soaked.looks) > 1
    assert (after.in_flight, after.queue) == (0, 0)
    # The worker and the ingester may each have a segment of the journal open, or not.
    assert after.own_descriptors <= before.own_descriptors + 2
    assert after.threads <= before.threads
    assert after.tasks <= before.tasks


def vitals(at_s: float, rss_mib: float) -> Vitals:
    return Vitals(at_s, rss_mib, 50, 20, 30, 0, 10, 0, 0, 64.0, 0.0, 0)


@pytest.mark.parametrize(("mib_a_look", "is_flat"), [(0.0, True), (-0.5, True), (0.01, True), (0.2, False)])
def test_what_rises_in_the_second_half_is_not_flat(mib_a_look: float, is_flat: bool) -> None:
    looks = [vitals(5.0 * number, 100 + mib_a_look * number) for number in range(100)]
    rss, *others = trends_of(looks)
    assert (rss.what, rss.is_flat) == ("RSS MiB", is_flat)
    assert rss.an_hour == pytest.approx(mib_a_look * 720)
    assert all(trend.is_flat for trend in others)


def test_what_rises_in_the_first_half_alone_is_flat() -> None:
    looks = [vitals(5.0 * number, min(100 + number, 130)) for number in range(100)]
    assert trends_of(looks)[0].is_flat


def test_a_spike_is_no_rise() -> None:
    values = [100.0] * 100
    values[50] = 130.0
    assert trend_of("x", [5.0 * number for number in range(100)], values).is_flat
