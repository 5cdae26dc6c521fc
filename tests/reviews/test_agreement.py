"""Agreement: published examples, and what is read, counted and left out."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import combinations, count
from math import isclose
from statistics import correlation as pearson

import pytest

from gateway.models.feedback import Feedback, Source
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Op
from gateway.models.reviews import RequestScore
from gateway.query.statistics import Estimate
from gateway.reviews import agreement
from gateway.reviews.agreement import (
    AgreementReader,
    cohen_kappa,
    compare_people,
    compare_scores,
    correlation,
    krippendorff_alpha,
)
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

# K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011: four observers, twelve units.
OBSERVERS = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
UNITS = [[int(value) for value in unit if value != "."] for unit in zip(*OBSERVERS, strict=True)]

# B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, table 3.1: 15 law schools.
LAW_SCHOOLS = [
    (576, 3.39), (635, 3.30), (558, 2.81), (578, 3.03), (666, 3.44), (580, 3.07), (555, 3.00), (661, 3.43),
    (651, 3.36), (605, 3.13), (653, 3.12), (575, 2.74), (545, 2.76), (572, 2.88), (594, 2.96),
]  # fmt: skip


def test_alpha_is_krippendorffs() -> None:
    people = compare_people([{str(place): score for place, score in enumerate(unit)} for unit in UNITS])
    assert people.alpha is not None
    assert people.alpha_ordinal is not None
    assert (round(people.alpha.value, 3), round(people.alpha_ordinal, 3)) == (0.849, 0.815)
    assert people.requests == 11


def test_kappa_is_that_of_two_therapists() -> None:
    # J. Sim and C. Wright, The Kappa Statistic in Reliability Studies, 2005, table 1.
    kappa = cohen_kappa({(1, 1): 22, (1, 0): 2, (0, 1): 4, (0, 0): 11})
    assert kappa is not None
    assert round(kappa.value, 2) == 0.67


def test_correlation_and_its_error_are_those_of_the_law_schools() -> None:
    found = correlation(LAW_SCHOOLS)
    assert found is not None
    assert found.low is not None
    assert round(found.value, 3) == 0.776
    # The book gives 0.142 for one decimal more in the averages than it prints.
    assert isclose((found.value - found.low) / 1.96, 0.142, abs_tol=0.001)
    assert found.high == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_shortcuts_say_the_same_as_definitions(seed: int) -> None:
    dice = random.Random(seed)
    units = [[dice.choice([-1.0, -0.5, 0.0, 1.0]) for _ in range(dice.randint(2, 4))] for _ in range(40)]

    def alpha(units: list[list[float]]) -> float:
        values = [score for unit in units for score in unit]
        expected = sum((a - b) ** 2 for a, b in combinations(values, 2)) * 2 / (len(values) - 1)
        within = (sum((a - b) ** 2 for a, b in combinations(unit, 2)) * 2 / (len(unit) - 1) for unit in units)
        return 1 - sum(within) / expected

    found = krippendorff_alpha(units)
    assert found is not None
    assert found.low is not None
    assert isclose(found.value, alpha(units))
    parts = [alpha(units[:place] + units[place + 1 :]) for place in range(len(units))]
    mean = sum(parts) / len(parts)
    error = ((len(parts) - 1) / len(parts) * sum((part - mean) ** 2 for part in parts)) ** 0.5
    assert isclose(found.value - found.low, 1.959963984540054 * error, rel_tol=1e-6)
    points = [(dice.uniform(-1, 1), dice.uniform(-1, 1)) for _ in range(20)]
    xs, ys = zip(*points, strict=True)
    related = correlation(points)
    assert related is not None
    assert isclose(related.value, pearson(xs, ys))


def test_what_cannot_be_said_is_not_said() -> None:
    assert cohen_kappa({}) is None
    assert cohen_kappa({(1, 1): 30}) is None
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([[1.0, 1.0]] * 30) is None
    assert correlation([]) is None
    assert correlation([(1.0, 0.5)] * 30) is None
    few = cohen_kappa({(1, 1): 4, (-1, -1): 4, (1, -1): 1})
    assert few is not None
    assert (few.low, few.high) == (None, None)
    # Full agreement has no spread that could be measured.
    full = krippendorff_alpha([[1.0, 1.0], [-1.0, -1.0]] * 10)
    assert full == Estimate(1.0, None, None)


NUMBERS = count(1)
SCORE = RequestScore(
    seq=0, request_seq=1, request_started_at_us=1, author="ann", source=Source.HUMAN, metric=None, score=1.0,
    weight=1.0, updated_at_us=1,
)  # fmt: skip


def score(request: int, author: str | None, value: float, **others: object) -> RequestScore:
    return replace(
        SCORE,
        seq=next(NUMBERS),
        request_seq=request,
        author=author,
        score=value,
        **others,  # type: ignore[arg-type]
    )


def test_the_latest_score_of_each_person_counts_and_metrics_do_not() -> None:
    found = compare_scores(
        [
            score(1, "ann", -1.0, updated_at_us=1), score(1, "ann", 1.0, updated_at_us=3), score(1, "ben", 0.5),
            score(1, "cid", -1.0, metric="tone"), score(1, None, -1.0), score(2, "ann", 1.0), score(3, "ann", 0.1),
            score(3, "ben", -0.1),
        ]
    )  # fmt: skip
    assert (found.scores, found.people.people, found.people.requests) == (8, 2, 2)
    [pair] = found.people.pairs
    assert (pair.people, pair.requests, pair.same_sign.value) == (("ann", "ben"), 2, 0.5)
    assert found.people.same_sign is not None
    assert found.people.same_sign.value == 0.5
    assert found.models.requests == 0


def test_models_are_compared_by_their_means_with_everybody() -> None:
    model = {"source": Source.MODEL}
    found = compare_scores(
        [
            score(1, "ann", 1.0), score(1, None, -1.0, weight=0.5), score(1, "judge", 0.5, **model),
            score(1, "judge", 0.1, metric="tone", **model), score(2, None, -0.5), score(2, None, -0.2, **model),
            score(3, "ann", 1.0), score(4, None, 1.0, **model),
        ]
    )  # fmt: skip
    models = found.models
    assert models.requests == 2
    assert models.human_mean is not None
    assert models.model_mean is not None
    assert isclose(models.human_mean, (1 / 3 - 0.5) / 2)
    assert isclose(models.model_mean, (0.3 - 0.2) / 2)
    assert models.same_sign is not None
    assert models.same_sign.value == 1.0
    assert models.correlation is not None
    assert isclose(models.correlation.value, 1.0)


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


async def fill(store: Store, requests: int) -> None:
    """Store requests of two teams in turn, each scored by two people."""
    await store.append(
        [
            exchange(
                f"r{number}", f"t{number}", started_at_us=number, metadata={"team": f"team-{number % 2}"}
            )
            for number in range(requests)
        ]
    )
    given: list[Feedback] = [
        feedback(f"{author}-{number}", f"t{number}", author=author, score=1.0)
        for number in range(requests)
        for author in ("ann", "ben")
    ]
    await store.put_feedback(given)


async def test_scores_of_matching_requests_are_compared(store: Store) -> None:
    await fill(store, 40)
    team = Comparison("metadata.team", Op.EQ, "team-1")
    times = (Comparison("started_at_us", Op.GE, 11), Comparison("started_at_us", Op.LT, 20))
    found = await AgreementReader(store).read(AllOf((team, *times)), None)
    assert (found.scores, found.people.requests, found.read_back_to_us) == (10, 5, None)
    assert (await AgreementReader(store).read(team, "north")).scores == 0
    nothing = await AgreementReader(store).read(Comparison("trace_id", Op.EQ, "none"), None)
    assert (nothing.people.requests, nothing.people.alpha, nothing.models.same_sign) == (0, None, None)


@pytest.mark.parametrize("bound", ["rows", "time"])
async def test_where_there_is_too_much_the_newest_whole_requests_are_compared(
    store: Store, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    await fill(store, 40)
    monkeypatch.setattr(agreement, "CHUNK_SCORES", 7)
    if bound == "rows":
        monkeypatch.setattr(agreement, "MAX_SCORES", 14)
    else:
        monkeypatch.setattr(agreement, "MAX_READ_SECONDS", 1e-9)
    found = await AgreementReader(store).read(NO_FILTER, None)
    # Fourteen scores are of seven requests, seven of three and a half; the last may lack some.
    last_us, requests = (33, 6) if bound == "rows" else (36, 3)
    assert (found.read_back_to_us, found.people.requests) == (last_us, requests)
