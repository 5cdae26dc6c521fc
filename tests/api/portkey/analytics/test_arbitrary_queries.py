"""Whatever is asked, figures are those of counting request by request: from rows, and from rollups of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.models.metrics import DAY_US
from tests.store.samples import requests_of

from .reference import Judged, passes, some_parameters
from .served import CENT, NINE_US, Served

REQUESTS = 80
MINUTES = 3 * 24 * 60
LATER_US = NINE_US + 30 * DAY_US
"""When everything is over and may be summed up."""

DAYS = {
    "time_of_generation_min": "2026-01-31T09:00:00Z",
    "time_of_generation_max": "2026-02-03T09:00:00Z",
}


async def fill(served: Served, dice: random.Random) -> list[Judged]:
    """Log requests of three days, judge some of them, and return them."""
    feedback_sums: dict[str, list[tuple[float | None, float]]] = {}
    for number in range(REQUESTS):
        tags = {
            "_user": dice.choice([None, "ann", "bob"]),
            "_prompt": dice.choice([None, "greet", "part"]),
            "team": dice.choice([None, "red", "blue"]),
            "n": dice.choice([None, 3, True, "3"]),
        }
        request_id = f"r{number}"
        await served.log(
            request_id,
            minute=dice.random() * MINUTES,
            took_ms=dice.randrange(5_000),
            model=dice.choice([None, "small", "large"]),
            tokens=dice.choice([None, (dice.randrange(10), dice.randrange(10))]),
            cents=dice.choice([None, 0, 0.5, 1.25, 33.3333333]),
            provider=dice.choice(["openai", "local"]),
            key_name=dice.choice([None, "app", "web"]),
            status=dice.choice([200, 200, 429, 500, None]),
            metadata={key: value for key, value in tags.items() if value is not None},
        )
        for _ in range(dice.choice([0, 0, 1, 2])):
            verdict = dice.choice([None, *range(-10, 11)]), dice.choice([0, 0.25, 1])
            await served.judge(request_id, *verdict)
            feedback_sums.setdefault(request_id, []).append(verdict)
    return [Judged(row, feedback_sums.get(row.request_id, [])) for row in await requests_of(served.store)]


def over_time(name: str, figure: Callable[[Sequence[Judged]], float], shown: str = "total") -> Any:
    """A graph whose summary is a figure of all, and whose points add up to it."""

    async def check(served: Served, found: Sequence[Judged], parameters: dict[str, str]) -> None:
        graph = await served.ask(f"graphs/{name}", **DAYS, **parameters)
        assert graph["summary"][shown] == pytest.approx(figure(found))
        assert sum(point[shown] for point in graph["data_points"]) == pytest.approx(figure(found))

    return check


async def weighted(served: Served, found: Sequence[Judged], parameters: dict[str, str]) -> None:
    graph = await served.ask("graphs/feedbacks/weighted", **DAYS, **parameters)
    all_weighted = [weighted for one in found for weighted in one.weighted]
    mean = sum(all_weighted) / len(all_weighted) if all_weighted else 0
    assert graph["summary"]["avg_exact"] == pytest.approx(mean)


async def scores(served: Served, found: Sequence[Judged], parameters: dict[str, str]) -> None:
    graph = await served.ask("graphs/feedbacks/scores", **DAYS, **parameters)
    values = Counter(value for one in found for value, _ in one.feedback_sums if value is not None)
    assert {point["score"]: point["total"] for point in graph["data_points"]} == values


async def users(served: Served, found: Sequence[Judged], parameters: dict[str, str]) -> None:
    groups = await served.ask("groups/users", **DAYS, **parameters)
    counted = Counter(one.request.user for one in found if one.request.user)
    assert {group["user"]: int(group["requests"]) for group in groups["data"]} == counted
    graph = await served.ask("graphs/users", **DAYS, **parameters)
    assert graph["summary"]["total"] == len(counted)


async def teams(served: Served, found: Sequence[Judged], parameters: dict[str, str]) -> None:
    groups = await served.ask("groups/metadata/team", **DAYS, **parameters)
    counted = Counter(str(one.request.metadata["team"]) for one in found if "team" in one.request.metadata)
    judged = Counter(str(one.request.metadata.get("team")) for one in found if one.feedback_sums)
    assert {group["metadata_value"]: group["requests"] for group in groups["data"]} == counted
    for group in groups["data"]:
        assert group["requests_with_feedback"] == judged[group["metadata_value"]]


async def codes(served: Served, found: Sequence[Judged], parameters: dict[str, str]) -> None:
    graph = await served.ask("graphs/errors/status-codes", **DAYS, **parameters)
    counted = Counter(one.request.status for one in found if (one.request.status or 0) >= 400)
    assert {point["status_code"]: point["count"] for point in graph["data_points"]} == counted


CHECKS = [
    over_time("requests", len),
    over_time(
        "cost", lambda found: sum(one.request.cost_nanousd or 0 for one in found) / CENT, "total_exact"
    ),
    over_time(
        "tokens",
        lambda found: sum(
            (one.request.prompt_tokens or 0) + (one.request.completion_tokens or 0) for one in found
        ),
    ),
    over_time("errors", lambda found: sum((one.request.status or 0) >= 400 for one in found)),
    over_time("feedbacks", lambda found: sum(len(one.feedback_sums) for one in found)),
    weighted,
    scores,
    users,
    teams,
    codes,
]


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_figures_are_what_counting_gives(served: Served, seed: int, is_rolled_up: bool) -> None:
    dice = random.Random(seed)
    world = await fill(served, dice)
    if is_rolled_up:
        assert await served.store.roll_up(LATER_US) > 0
    for _ in range(15):
        parameters = some_parameters(dice)
        found = [one for one in world if passes(one, parameters)]
        for check in CHECKS:
            await check(served, found, parameters)
