"""What everybody adds to an answer when half as busy as it can be: a fixed rate, from callers that do not wait."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.calls import request_of
from benchmarks.compare import Rounds
from benchmarks.lineup import Running, Say
from benchmarks.load import percentile

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Times:
    """How long answers took, from when their requests were due."""

    p50_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class HalfRate:
    """A contestant at half of what it can do at most, and the upstream alone at that same rate; the medians of
    several rounds."""

    contestant: str
    requests_per_second: float
    through: Times
    direct: Times

    @property
    def added(self) -> Times:
        """What the contestant adds."""
        return Times(self.through.p50_us - self.direct.p50_us, self.through.p99_us - self.direct.p99_us)


def measure_half_rate(direct: Running, others: Sequence[Running], rounds: Rounds, say: Say) -> list[HalfRate]:
    """Find out how many requests a second each can do, then send half as many, in turns with the upstream alone.

    Raises:
        Failed: a request failed, or a contestant did.
    """
    rates = {each.name: _most(each, rounds) / 2 for each in others}
    through: dict[str, list[Times]] = {each.name: [] for each in others}
    alone: dict[str, list[Times]] = {each.name: [] for each in others}
    for number in range(rounds.count):
        for each in others:
            for target, times in ((direct, alone), (each, through)):
                times[each.name].append(_times(target, rates[each.name], rounds.seconds))
            say(
                f"half rate round {number + 1}, {each.name}: p99 {through[each.name][-1].p99_us / 1000:.2f} ms"
            )
    return [HalfRate(name, rates[name], _median(through[name]), _median(alone[name])) for name in rates]


def _most(each: Running, rounds: Rounds) -> float:
    request = request_of("json", "most", each.headers)
    answers = each.send(request, connections=CONNECTIONS, seconds=rounds.seconds)
    return len(answers) / answers[-1].at_us * 1e6


def _times(target: Running, rate: float, seconds: int) -> Times:
    target.settle()
    request = request_of("json", "half-rate", target.headers)
    answers = target.send(request, connections=CONNECTIONS, seconds=seconds, rate=rate)
    took_us = [answer.took_us for answer in answers]
    return Times(percentile(took_us, 50), percentile(took_us, 99))


def _median(rounds: Sequence[Times]) -> Times:
    return Times(
        statistics.median(one.p50_us for one in rounds), statistics.median(one.p99_us for one in rounds)
    )
