"""The comparison: every contestant under every load, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.calls import Kind, request_of
from benchmarks.contestant import Contestant
from benchmarks.contestants import DIRECT
from benchmarks.lineup import Running, Say
from benchmarks.load import percentile


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of request and how many callers send it at once."""

    kind: Kind
    connections: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.connections}"

    def is_for(self, contestant: Contestant) -> bool:
        """Tell whether a contestant knows this kind of request."""
        return self.kind != "feedback" or contestant.takes_feedback


SINGLE = Case("json", 1)
CASES = (SINGLE, Case("json", 16), Case("json", 64), Case("sse", 64), Case("feedback", 64))


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long and how often each case is measured, after a round of `warm_up_seconds` that does not count."""

    count: int
    seconds: int
    warm_up_seconds: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One round, or the median of several. CPU is of the contestant alone, all its processes, user and system."""

    cpu_us: float
    requests_per_second: float
    p50_us: float
    p99_us: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Row:
    """What came out for one contestant in one case."""

    case: str
    contestant: str
    median: Figures
    rounds: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """By how much the times at one connection are longer through a contestant than without it."""

    contestant: str
    p50_us: float
    p99_us: float


def compare(present: Sequence[Running], cases: Sequence[Case], rounds: Rounds, say: Say) -> list[Row]:
    """Measure the cases, one after the other; in each, the contestants take turns within every round, so that what
    else the machine does meanwhile falls on all of them alike.

    Raises:
        Failed: a request failed, or a contestant did.
    """
    rows: list[Row] = []
    for case in cases:
        able = [each for each in present if case.is_for(each.contestant)]
        known = {each.port: _warm_up(each, case, rounds) for each in able}
        measured: dict[str, list[Figures]] = {each.name: [] for each in able}
        for number in range(rounds.count):
            for each in able:
                figures = _measure(each, case, rounds.seconds, f"{case}-{number}", known[each.port])
                measured[each.name].append(figures)
                say(f"{case} round {number + 1}, {each.name}: {figures.cpu_us:.0f} CPU-µs")
        rows += [Row(str(case), name, median_of(found), tuple(found)) for name, found in measured.items()]
    return rows


def added(rows: Sequence[Row]) -> list[Added]:
    """Return what each contestant adds for a single caller, as far as that and the upstream alone were measured."""
    alone = {row.contestant: row.median for row in rows if row.case == str(SINGLE)}
    direct = alone.pop(DIRECT.name, None)
    if direct is None:
        return []
    return [
        Added(name, figures.p50_us - direct.p50_us, figures.p99_us - direct.p99_us)
        for name, figures in alone.items()
    ]


def median_of(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(
        **{name: statistics.median(getattr(one, name) for one in rounds) for name in Figures.__slots__}
    )


def _warm_up(each: Running, case: Case, rounds: Rounds) -> int | None:
    """Make each process do once what it is about to be measured at. Before feedback, that is to log what it will be
    about, under the run `known`: return how many requests that are."""
    is_feedback = case.kind == "feedback"
    request = request_of(
        "json" if is_feedback else case.kind, "known" if is_feedback else f"{case}-warm-up", each.headers
    )
    answers = each.send(request, connections=case.connections, seconds=rounds.warm_up_seconds)
    return len(answers) if is_feedback else None


def _measure(each: Running, case: Case, seconds: int, run: str, known: int | None) -> Figures:
    request = request_of(case.kind, "known" if known else run, each.headers)
    before = each.settle()
    answers = each.send(request, connections=case.connections, seconds=seconds, numbers=known)
    after = each.settle()
    took_us = [answer.took_us for answer in answers]
    return Figures(
        cpu_us=(after.cpu_seconds - before.cpu_seconds) / len(answers) * 1e6,
        requests_per_second=len(answers) / answers[-1].at_us * 1e6,
        p50_us=percentile(took_us, 50),
        p99_us=percentile(took_us, 99),
        rss_mib=after.rss_bytes / 2**20,
    )
