"""Experiments: how often a winner is false, with a look after every vote, and how many people a true one takes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from os import cpu_count
from typing import Any

from benchmarks.lineup import Say
from gateway.experiments.confidence import (
    Sample,
    log_evidence_of_gain,
    people_needed,
    people_needed_at_fixed_end,
)
from gateway.query.statistics import Estimate, student_quantile, wilson_interval

ALPHA = 0.05
_LIMIT = math.log(1 / ALPHA)
_RUNS = 10_000
_PEOPLE = 400
_ZIPF_EXPONENT, _MOST_VOTES = 1.5, 60
_T_CRITICAL = student_quantile(1 - ALPHA / 2, _PEOPLE)

# Whether somebody who thinks so votes at all.
_SILENCE = {0: 0.6, 1: 0.2}


@dataclass(frozen=True, slots=True)
class World:
    """How people vote.

    Args:
        means: shares who like the variants.
        votes: how many requests a person judges: one, or by Zipf's law, with a mind of their own each time.
        changes: share of votes that are given anew, as another mind would, after later ones.
        delay: votes come in another order than people do, by up to so many.
        silent: whether who likes and who dislikes are silent to different extents.
    """

    name: str
    means: tuple[float, float] = (0.6, 0.6)
    heavy: bool = False
    changes: float = 0.0
    delay: int = 0
    doubled: bool = False
    silent: bool = False


ALIKE = (
    World("one vote a person"),
    World("every vote posted twice", doubled=True),
    World("half of the votes changed later", changes=0.5),
    World("votes late, out of order", delay=200),
    World("votes by Zipf's law, up to 60 a person", heavy=True),
    World("who dislikes is silent three times as often", silent=True),
    World("all of these", heavy=True, changes=0.5, delay=200, doubled=True, silent=True),
)

DIFFERENT = ((0.65, 0.5), (0.6, 0.5), (0.9, 0.85))


@dataclass(frozen=True, slots=True)
class FalseWinners:
    """The share of experiments with equal variants that ever had a winner; `naive`: by a t test of all votes."""

    world: str
    runs: int
    people: int
    looks: int
    found: Estimate
    naive: Estimate


@dataclass(frozen=True, slots=True)
class TrueWinners:
    """What a true difference takes.

    Args:
        planned: people a variant that `gateway experiments plan` names; `fixed`: of a t test at its end.
        found: share of runs with the right winner by then, `wrong`: with the other one at any time.
        median: people a variant at which half of the runs had found it.
    """

    means: tuple[float, float]
    runs: int
    planned: int
    fixed: int
    found: Estimate
    wrong: Estimate
    median: int


@dataclass(slots=True)
class _Tally:
    """Votes as they come: by person for the experiment, each for the naive test."""

    minds: dict[int, dict[int, int]] = field(default_factory=dict)
    liked: dict[int, int] = field(default_factory=dict)
    people: list[Sample] = field(default_factory=lambda: [Sample(), Sample()])
    votes: list[Sample] = field(default_factory=lambda: [Sample(), Sample()])

    def add(self, arm: int, person: int, request: int, liked: int) -> None:
        said, seen = self.minds.setdefault(person, {}), self.people[arm]
        before = self.liked.get(person, 0) / len(said) if said else 0.0
        is_new = not said
        self.liked[person] = self.liked.get(person, 0) + liked - said.get(request, 0)
        said[request] = liked
        now = self.liked[person] / len(said)
        self.people[arm] = Sample(seen.count + is_new, seen.total + now - before)
        self.votes[arm] = Sample(self.votes[arm].count + 1, self.votes[arm].total + liked)


def measure_experiments(say: Say, runs: int = _RUNS) -> tuple[list[FalseWinners], list[TrueWinners]]:
    """Return how often winners are false, and what true ones take."""
    with ProcessPoolExecutor(cpu_count()) as pool:
        alike = []
        for world in ALIKE:
            say(f"{runs:,} experiments with equal variants: {world.name}")
            each = list(pool.map(partial(_run_alike, world), range(runs), chunksize=50))
            found, naive = (_share(sum(run[at] for run in each), runs) for at in (0, 1))
            alike.append(FalseWinners(world.name, runs, _PEOPLE, sum(run[2] for run in each), found, naive))
        different = [_measure_difference(pool, means, runs, say) for means in DIFFERENT]
    return alike, different


def _share(count: int, runs: int) -> Estimate:
    found = wilson_interval(count / runs, runs)
    assert found is not None, "there are runs"
    return found


def _run_alike(world: World, seed: int) -> tuple[bool, bool, int]:
    """Tell whether there ever was a winner, whether a t test of all votes had one, and count the looks."""
    tally, has_won, is_naive, looks = _Tally(), False, False, 0
    for arm, person, request, liked in _votes(world, random.Random(f"{world.name} {seed}"), _PEOPLE):
        tally.add(arm, person, request, liked)
        looks += 1
        has_won = has_won or _winner(tally) is not None
        is_naive = is_naive or _differs(*tally.votes)
    return has_won, is_naive, looks


def _winner(tally: _Tally) -> int | None:
    first, second = tally.people
    # No bet gains more than the best one, whose gain a chi-squared statistic bounds.
    if not (first.count and second.count) or _chi_squared(first, second) < _LIMIT:
        return None
    if log_evidence_of_gain(first, second) >= _LIMIT:
        return 0
    return 1 if log_evidence_of_gain(second, first) >= _LIMIT else None


def _chi_squared(first: Sample, second: Sample) -> float:
    mean = (first.total + second.total) / (first.count + second.count)
    spread = mean * (1 - mean)
    if spread <= 0:
        return 0.0
    return sum(each.count * (each.mean - mean) ** 2 for each in (first, second)) / spread


def _differs(first: Sample, second: Sample) -> bool:
    if min(first.count, second.count) < 10:
        return False
    variance = sum(each.mean * (1 - each.mean) / each.count for each in (first, second))
    return abs(first.mean - second.mean) > _T_CRITICAL * math.sqrt(variance) > 0


def _votes(world: World, draw: random.Random, people: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield variant, person, request and whether they like it, in the order in which votes come."""
    timed = [(at, each) for person in range(people) for at, each in _votes_of(world, draw, person)]
    timed.sort(key=lambda pair: pair[0])
    for _, each in timed:
        yield each


def _votes_of(
    world: World, draw: random.Random, person: int
) -> Iterator[tuple[float, tuple[int, int, int, int]]]:
    arm = draw.randrange(2)
    mean = world.means[arm]
    # Heavy voters have a leaning of their own, around the mean of all.
    leaning = draw.betavariate(2 * mean, 2 * (1 - mean)) if world.heavy else mean
    for request in range(_number_of_votes(world, draw)):
        at = person + draw.random() * (world.delay + 1) + (request * 5 if world.heavy else 0)
        liked = int(draw.random() < leaning)
        if world.silent and draw.random() < _SILENCE[liked]:
            continue
        for _ in range(1 + world.doubled):
            yield at, (arm, person, request, liked)
        if draw.random() < world.changes:
            yield at + draw.random() * 200, (arm, person, request, int(draw.random() < leaning))


def _number_of_votes(world: World, draw: random.Random) -> int:
    if not world.heavy:
        return 1
    return min(int((1 - draw.random()) ** (-1 / (_ZIPF_EXPONENT - 0.5))), _MOST_VOTES)


def _measure_difference(
    pool: ProcessPoolExecutor, means: tuple[float, float], runs: int, say: Say
) -> TrueWinners:
    planned = people_needed(*means, ALPHA)
    assert planned is not None, "the difference is not tiny"
    say(f"{runs:,} experiments in which {means[0]:.0%} and {means[1]:.0%} like the variants")
    run: Callable[[int], Any] = partial(_run_different, World("different", means), 2 * planned)
    each = list(pool.map(run, range(runs), chunksize=50))
    times = sorted(people if winner == 0 else math.inf for winner, people in each)
    median = times[len(times) // 2]
    return TrueWinners(
        means,
        runs,
        planned,
        people_needed_at_fixed_end(*means, ALPHA),
        _share(sum(winner == 0 for winner, _ in each), runs),
        _share(sum(winner == 1 for winner, _ in each), runs),
        0 if math.isinf(median) else int(median),
    )


def _run_different(world: World, people: int, seed: int) -> tuple[int | None, int]:
    """Return the first winner, and how many people a variant there were then."""
    tally, draw = _Tally(), random.Random(f"{world.means} {seed}")
    for count, (arm, person, request, liked) in enumerate(_votes(world, draw, people)):
        tally.add(arm, person, request, liked)
        if (winner := _winner(tally)) is not None:
            return winner, (count + 1) // 2
    return None, people // 2
