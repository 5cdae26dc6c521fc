"""Groups by user, model and metadata: each figure worked out by hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from .served import Served


@pytest.fixture
async def busy(served: Served) -> Served:
    """A morning of three users, two teams and three models."""
    for number, (user, team, model, tokens, cents) in enumerate(
        (
            ("ann", "red", "small", (10, 5), 0.0000001),
            ("ann", "red", "small", (1, 1), 100),
            ("ann", "blue", "large", None, None),
            ("bob", "blue", "small", (3, 0), 0.5),
            ("cat", None, "tiny", None, None),
            (None, "red", None, None, 2),
        )
    ):
        tags = {"_user": user, "team": team}
        metadata = {key: value for key, value in tags.items() if value is not None}
        await served.log(
            f"r{number}", minute=number, model=model, tokens=tokens, cents=cents, metadata=metadata
        )
    await served.judge("r0", 10, 0.5)
    await served.judge("r0", -4)
    await served.judge("r5", -2)
    return served


async def test_users_of_most_requests_come_first_with_exact_costs(busy: Served) -> None:
    groups = await busy.ask("groups/users")
    assert groups == {
        "object": "list",
        "total": 3,
        "data": [
            {"object": "analytics-group", "user": "ann", "requests": "3", "cost": "100.0000001"},
            {"object": "analytics-group", "user": "bob", "requests": "1", "cost": "0.5"},
            {"object": "analytics-group", "user": "cat", "requests": "1", "cost": "0"},
        ],
    }


async def test_models_are_those_that_are_known(busy: Served) -> None:
    groups = await busy.ask("groups/ai-models")
    assert groups["total"] == 3
    assert [(group["ai_model"], group["requests"]) for group in groups["data"]] == [
        ("small", "3"),
        ("large", "1"),
        ("tiny", "1"),
    ]


async def test_values_of_the_metadata_have_all_their_figures(busy: Served) -> None:
    groups = await busy.ask("groups/metadata/team")
    assert groups["total"] == 2
    assert groups["data"][0] == {
        "object": "analytics-group",
        "metadata_value": "red",
        "requests": 3,
        "cost": 102,
        "cost_exact": pytest.approx(102.0000001),
        "avg_tokens": 6,
        "avg_tokens_exact": pytest.approx(17 / 3),
        "avg_weighted_feedback": 0,
        "avg_weighted_feedback_exact": pytest.approx(-1 / 3),
        "requests_with_feedback": 2,
        "last_seen": "2026-01-31T09:05:00.000Z",
    }
    assert groups["data"][1]["requests_with_feedback"] == 0


async def test_a_key_with_a_column_of_its_own_is_a_key_like_others(busy: Served) -> None:
    groups = await busy.ask("groups/metadata/_user")
    assert [(group["metadata_value"], group["requests"]) for group in groups["data"]] == [
        ("ann", 3),
        ("bob", 1),
        ("cat", 1),
    ]


@pytest.mark.parametrize("key", ["a/b", "a b", "ü", "a.b", "100%", "metadata."])
async def test_any_key_can_be_named(served: Served, key: str) -> None:
    await served.log(metadata={key: 5})
    await served.log(metadata={key: True})
    groups = await served.ask(f"groups/metadata/{quote(key, safe='')}")
    assert [group["metadata_value"] for group in groups["data"]] == ["5", "true"]


@pytest.mark.parametrize(
    ("page", "users"),
    [
        ({}, ["ann", "bob", "cat"]),
        ({"page_size": "2"}, ["ann", "bob"]),
        ({"page_size": "2", "current_page": "1"}, ["cat"]),
        ({"page_size": "2", "current_page": "2"}, []),
        ({"page_size": "0"}, []),
        ({"current_page": "0"}, ["ann", "bob", "cat"]),
    ],
)
async def test_pages_begin_with_nought(busy: Served, page: dict[str, str], users: list[str]) -> None:
    groups: Any = await busy.ask("groups/users", **page)
    assert [group["user"] for group in groups["data"]] == users
    assert groups["total"] == 3
