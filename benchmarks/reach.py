"""What is aimed at, and what a run has reached of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.storing import VOTES
from benchmarks.tables import NOTHING, table
from benchmarks.tasks import Results

_CORES_FOR_TWO_WORKERS = 4


class NotMeasured(Exception):
    """A figure that a run does not have; the text says which."""


@dataclass(frozen=True, slots=True)
class Check:
    """A figure, and the limit that it should keep.

    Args:
        limit: what it should be at most, or where it `is_floor` at least.
        unit: what both are counted in.
        figure: finds it in the results of a run. Raises NotMeasured.
    """

    limit: float
    unit: str
    figure: Callable[[Results], float]
    is_floor: bool = False

    @property
    def wanted(self) -> str:
        """The limit, to be shown."""
        return f"{'≥' if self.is_floor else '≤'} {self.limit:,g} {self.unit}"

    def is_met_by(self, value: float) -> bool:
        """Tell whether a value keeps the limit."""
        return value >= self.limit if self.is_floor else value <= self.limit


@dataclass(frozen=True, slots=True)
class Aim:
    """Something to reach, by any one of its checks."""

    what: str
    checks: tuple[Check, ...]


def reach_table(results: Results, aims: Sequence[Aim]) -> str:
    """Return what was reached of each aim."""
    return table(("aim", "wanted", "measured", "reached"), [_line(aim, results) for aim in aims])


def _line(aim: Aim, results: Results) -> tuple[str, ...]:
    wanted = " or ".join(check.wanted for check in aim.checks)
    try:
        values = [check.figure(results) for check in aim.checks]
    except NotMeasured as missing:
        return aim.what, wanted, f"not measured: {missing}", NOTHING
    pairs = list(zip(aim.checks, values, strict=True))
    measured = ", ".join(f"{_short(value)} {check.unit}" for check, value in pairs)
    is_reached = any(check.is_met_by(value) for check, value in pairs)
    return aim.what, wanted, measured, "yes" if is_reached else "**no**"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _row(results: Results, section: str, **wanted: object) -> Any:
    for row in results.get(section, ()):
        if all(getattr(row, name) == value for name, value in wanted.items()):
            return row
    raise NotMeasured(", ".join((section, *map(str, wanted.values()))))


def _cpu_us(results: Results, case: str, contestant: str = "gateway") -> float:
    cpu_us: float = _row(results, "comparison", case=case, contestant=contestant).median.cpu_us
    return cpu_us


def _rate(results: Results, case: str, contestant: str = "gateway") -> float:
    rate: float = _row(results, "comparison", case=case, contestant=contestant).median.requests_per_second
    return rate


def _two_workers(results: Results) -> float:
    if (cores := os.cpu_count() or 1) < _CORES_FOR_TWO_WORKERS:
        raise NotMeasured(f"with load and upstream it takes four cores, and here are {cores}")
    return _rate(results, "json:64", "gateway-2") / _rate(results, "json:64")


def _against(case: str, most: float, peer: str) -> Check:
    """The gateway's CPU is so many times a peer's at most."""
    return Check(most, f"× {peer}'s", lambda found: _cpu_us(found, case) / _cpu_us(found, case, peer))


def _fraction(case: str, least: float, peer: str) -> Check:
    """A peer's CPU is so many times the gateway's at least."""
    return Check(least, "×", lambda found: _cpu_us(found, case, peer) / _cpu_us(found, case), is_floor=True)


AIMS = (
    Aim("CPU of a JSON request, 16 connections", (_against("json:16", 8, "nginx"),)),
    Aim("CPU of a JSON request, 64 connections", (_against("json:64", 8, "nginx"),)),
    Aim("Portkey's CPU of it to ours, 16 connections", (_fraction("json:16", 4, "portkey"),)),
    Aim("Portkey's CPU of it to ours, 64 connections", (_fraction("json:64", 4, "portkey"),)),
    Aim("LiteLLM's CPU of it to ours, 16 connections", (_fraction("json:16", 40, "litellm"),)),
    Aim("LiteLLM's CPU of it to ours, 64 connections", (_fraction("json:64", 40, "litellm"),)),
    Aim("CPU of a stream of 52 events, 64 at once", (_against("sse:64", 2.5, "nginx"),)),
    Aim(
        "added for a single caller, median",
        (Check(0.3, "ms", lambda found: _row(found, "added", contestant="gateway").p50_us / 1000),),
    ),
    Aim(
        "added for a single caller, p99",
        (Check(2, "ms", lambda found: _row(found, "added", contestant="gateway").p99_us / 1000),),
    ),
    Aim(
        "added when half as busy as can be, p99",
        (Check(5, "ms", lambda found: _row(found, "half-rate", contestant="gateway").added.p99_us / 1000),),
    ),
    Aim(
        "memory of a slow stream, 1,000 at once, beyond what is to be logged",
        (Check(30, "KiB", lambda found: _row(found, "slow-streams", contestant="gateway").kib_beyond),),
    ),
    Aim(
        "the latest event of 1,000 slow streams",
        (Check(20, "ms", lambda found: _row(found, "slow-streams", contestant="gateway").longest_us / 1000),),
    ),
    Aim(
        "votes from 64 connections, synced: for each core busy, or to commits one after the other",
        (
            Check(5000, "a second", lambda found: 1e6 / _cpu_us(found, "feedback:64"), is_floor=True),
            Check(
                4,
                "×",
                lambda found: (
                    _rate(found, "feedback:64") / _row(found, "storing", what=VOTES, at_once=1).per_second
                ),
                is_floor=True,
            ),
        ),
    ),
    Aim(
        "requests/s of two workers to those of one, 64 connections",
        (Check(1.8, "×", _two_workers, is_floor=True),),
    ),
)
"""What this gateway aims at."""
