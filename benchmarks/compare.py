"""The comparison: every contestant under every load, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant, environment
from benchmarks.load import Kind, make_load
from benchmarks.processes import Server, free_port
from benchmarks.upstream import mock_upstream

Say = Callable[[str], None]


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


CASES = (Case("json", 1), Case("json", 16), Case("json", 64), Case("sse", 64), Case("feedback", 64))


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long and how often each case is measured, after a round of `warm_up_seconds` that does not count."""

    count: int = 5
    seconds: int = 6
    warm_up_seconds: int = 2


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
class Running:
    """A contestant that serves; `server` is None where the load goes to the upstream itself."""

    contestant: Contestant
    port: int
    server: Server | None


@contextmanager
def running(contestants: Sequence[Contestant], folder: Path) -> Iterator[list[Running]]:
    """Serve the upstream and the contestants in front of it."""
    with ExitStack() as stack:
        upstream, upstream_port = mock_upstream(folder)
        stack.enter_context(upstream)
        yield [_start(contestant, folder, upstream_port, stack) for contestant in contestants]


def _start(contestant: Contestant, folder: Path, upstream_port: int, stack: ExitStack) -> Running:
    if contestant.command_of is None:
        return Running(contestant, upstream_port, None)
    home, port = folder / contestant.name, free_port()
    home.mkdir()
    command = contestant.command_of(home, port, upstream_port)
    server = Server(command, port, home / "output.log", environment())
    return Running(contestant, port, stack.enter_context(server))


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
        measured: dict[str, list[Figures]] = {each.contestant.name: [] for each in able}
        for number in range(rounds.count):
            for each in able:
                figures = _measure(each, case, rounds.seconds, f"{case}-{number}", known[each.port])
                measured[each.contestant.name].append(figures)
                say(f"{case} round {number + 1}, {each.contestant.name}: {figures.cpu_us:.0f} CPU-µs")
        rows += [Row(str(case), name, median_of(found), tuple(found)) for name, found in measured.items()]
    return rows


def median_of(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(
        **{name: statistics.median(getattr(one, name) for one in rounds) for name in Figures.__slots__}
    )


def _warm_up(each: Running, case: Case, rounds: Rounds) -> int:
    """Make each process do once what it is about to be measured at; return the requests that feedback may be about,
    whose run is called `known`."""
    if case.kind == "feedback":
        seen = make_load(
            "json", each.port, 16, rounds.warm_up_seconds, "known", headers=each.contestant.headers
        )
        return seen.requests
    make_load(
        case.kind, each.port, case.connections, rounds.warm_up_seconds, f"{case}-warm-up",
        headers=each.contestant.headers,
    )  # fmt: skip
    return 0


def _measure(each: Running, case: Case, seconds: int, run: str, known: int) -> Figures:
    before = each.server.settle() if each.server else None
    load = make_load(
        case.kind, each.port, case.connections, seconds, "known" if known else run,
        headers=each.contestant.headers, known=known,
    )  # fmt: skip
    after = each.server.settle() if each.server else None
    used = after.cpu_seconds - before.cpu_seconds if after and before else 0.0
    return Figures(
        cpu_us=used / load.requests * 1e6,
        requests_per_second=load.requests / load.seconds,
        p50_us=load.p50_us,
        p99_us=load.p99_us,
        rss_mib=after.rss_bytes / 2**20 if after else 0.0,
    )
