"""How much is measured: everything in a quarter of an hour, or a little of everything in five minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import bodies, memory, searches, streams
from benchmarks.compare import CASES, Case, Rounds
from benchmarks.contestant import Contestant
from benchmarks.contestants import CONTESTANTS

ROUNDS = Rounds(count=3, seconds=3, warm_up_seconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and for how long.

    Args:
        warm_up_seconds: before anything is measured, for all at once.
        rounds: where contestants take turns.
        seconds: of everything else that is not counted otherwise.
        levels: streams at once.
        sizes: of bodies, in bytes.
        marks: requests after which memory is read.
        rows: requests in the month that is asked about.
        times: how often each question is asked.
        searched: requests in the stores that are searched.
        profiled: loads under which the gateway is profiled.
        copied: batches of requests written to PostgreSQL.
        soak_seconds: how long a soak is.
        alert_years: of traffic that alerts watch.
    """

    contestants: Sequence[Contestant] = CONTESTANTS
    cases: Sequence[Case] = CASES
    warm_up_seconds: int = 10
    rounds: Rounds = ROUNDS
    seconds: int = 3
    levels: Sequence[int] = streams.LEVELS
    sizes: Sequence[int] = bodies.SIZES
    marks: Sequence[int] = memory.MARKS
    rows: int = 1_000_000
    times: int = 10
    searched: int = searches.ROWS
    profiled: Sequence[Case] = (Case("json", 16), Case("sse", 64))
    copied: int = 50
    soak_seconds: float = 600
    alert_years: float = 10


FULL = Plan()
QUICK = Plan(
    alert_years=0.1,
    warm_up_seconds=4,
    rounds=Rounds(count=1, seconds=2, warm_up_seconds=1),
    seconds=1,
    levels=(10, 1000),
    sizes=(1_000, 1_000_000),
    marks=(2_000, 10_000),
    rows=50_000,
    times=3,
    searched=10_000,
    profiled=(Case("json", 16),),
    copied=5,
    soak_seconds=30,
)
