"""Compare and overview over HTTP: how they are asked, and that what they link to is what they counted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.models.clock import now_us
from gateway.models.exchange import Outcome
from gateway.models.feedback import Target
from gateway.models.metrics import HOUR_US
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key

MODELS = ("large", "small")
TEAMS = ("red", "blue, green")


@pytest.fixture
async def two_models(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> None:
    """Forty requests of this hour, half of each model, of which everybody likes the small one."""
    at = now_us() - HOUR_US // 2
    seqs = await store.append(
        [
            make_exchange(
                f"r{n}",
                tenant="a" if n < 30 else "b",
                started_at_us=at + n,
                first_byte_at_us=at + n + 100_000,
                ended_at_us=at + n + 200_000 * (1 + n % 2),
                status=500 if n == 0 else 200,
                outcome=Outcome.CLIENT_CLOSED if n == 3 else Outcome.COMPLETE,
                metadata={"team": TEAMS[n % 2]},
            )
            for n in range(40)
        ]
    )
    facts = [Facts(model=MODELS[n % 2], usage=Usage(1000, 10), cost=Cost(2_000_000, "v")) for n in range(40)]
    await store.annotate(list(zip(seqs, facts, strict=True)), at)
    score = {0: -1.0, 1: 1.0}
    await store.put_feedback(
        [
            make_feedback(
                f"r{n}", target=Target.REQUEST, tenant="a" if n < 30 else "b", author=f"p{n}",
                value=score[n % 2], grade=10 * score[n % 2], score=score[n % 2],
            )
            for n in range(40)
        ]
    )  # fmt: skip


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("two_models")
async def test_arms_are_compared_in_the_order_asked_for(client: httpx.AsyncClient) -> None:
    found = await get(client, "/api/v1/compare", by="model", arm=["small", "large"])
    assert found["summary"].startswith("small is liked more than large (1.00 [")
    small, large = found["arms"]
    assert (small["arm"], small["requests"], small["people"], small["entries"]) == ("small", 20, 20, 20)
    assert small["mean_score"]["value"] == small["share_positive"]["value"] == 1.0
    assert small["cost"]["usd_per_request"] == 0.002
    assert (small["latency_ms"]["p50"], small["first_byte_ms"], small["coverage"]) == (401.5, 100, 1.0)
    first_byte = small["first_byte_latency_ms"]
    assert (first_byte["mean"], first_byte["p50"], first_byte["p95"]) == (100, 100, 100)
    assert large["error_rate"]["value"] == 0.05
    assert large["error_rate"]["low"] < 0.05 < large["error_rate"]["high"]
    [pair] = found["pairs"]
    assert (pair["arm"], pair["other"], pair["is_different"]) == ("small", "large", True)
    assert pair["difference"]["value"] == 2.0
    assert (found["warnings"], found["unknown_keys"]) == ([], [])
    assert "Holm" in found["method"]


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize("by", ["model", "metadata.team", "status", "outcome", "is_stream", "key_name"])
async def test_the_filters_of_an_arm_list_its_requests(client: httpx.AsyncClient, by: str) -> None:
    found = await get(client, "/api/v1/compare", by=by, **{"from": "1h", "provider": "openai"})
    assert found["arms"] or by == "key_name"
    for arm in found["arms"]:
        assert arm["filters"]["provider"] == "openai"
        rows = await get(client, "/api/v1/requests", **arm["filters"], limit=100)
        assert len(rows["data"]) == arm["requests"]


@pytest.mark.usefixtures("two_models")
async def test_a_tenant_compares_its_own_requests(client: httpx.AsyncClient) -> None:
    client.headers.update(key("reader-b"))
    found = await get(client, "/api/v1/compare", by="model")
    assert [(arm["requests"], arm["people"]) for arm in found["arms"]] == [(5, 5), (5, 5)]
    assert found["warnings"] == [
        f"{model}: scores of 5 people only; nothing is claimed of fewer than 10." for model in MODELS
    ]
    overview = await get(client, "/api/v1/overview")
    assert overview["total"]["requests"] == 10


@pytest.mark.parametrize(
    ("parameters", "field", "message"),
    [
        ({}, "by", "is missing"),
        ({"by": "colour"}, "by", "must be one of"),
        ({"by": "model", "arm": "m"}, "arm", "must be given 2 to 8 times"),
        ({"by": "model", "arm": ["m", "m"]}, "arm", "with different values"),
        ({"by": "model", "arm": [str(n) for n in range(9)]}, "arm", "must be given 2 to 8 times"),
        ({"by": "status", "arm": ["200", "ok"]}, "arm", "must be a whole number"),
        ({"by": "model", "source": "cat"}, "source", "must be one of human"),
        ({"by": "model", "colour": "red"}, "colour", "is not a query parameter"),
    ],
)
async def test_what_cannot_be_compared_is_refused(
    client: httpx.AsyncClient, parameters: dict[str, Any], field: str, message: str
) -> None:
    answer = await client.get("/api/v1/compare", params=parameters)
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (400, field)
    assert message in error["message"]


@pytest.mark.usefixtures("two_models")
async def test_an_overview_says_the_same_as_aggregates(client: httpx.AsyncClient) -> None:
    found = await get(client, "/api/v1/overview", **{"from": "24h"})
    bounds = {"from": found["starts_at"], "to": found["ends_at"]}
    [total] = (await get(client, "/api/v1/aggregates", **bounds))["data"]
    assert found["total"] == {name: total[name] for name in found["total"]}
    assert found["before"]["requests"] == 0
    assert found["interval_seconds"] == 3600
    assert 24 <= len(found["series"]) <= 25
    points = [point for point in found["series"] if point["requests"]]
    rows = (await get(client, "/api/v1/aggregates", **bounds, bucket="hour"))["data"]
    assert [point["starts_at"] for point in points] == [row["bucket"] for row in rows]
    for point, row in zip(points, rows, strict=True):
        assert {**point, "starts_at": None} == {**{name: row.get(name) for name in point}, "starts_at": None}
    assert [(row["group"], row["requests"]) for row in found["by_model"]] == [("large", 20), ("small", 20)]
    assert found["by_prompt"][0]["filters"] is None
    for item in found["attention"]:
        if item["path"] == "/api/v1/requests" and item["kind"] != "cache_share":
            listed = await get(client, item["path"], **item["filters"], limit=100)
            assert len(listed["data"]) == item["count"]
    assert {item["kind"] for item in found["attention"]} == {
        "cache_share",
        "tokens_discarded",
        "recent_errors",
    }


async def test_an_overview_is_of_the_last_week_and_of_nothing_too(client: httpx.AsyncClient) -> None:
    found = await get(client, "/api/v1/overview", prompt="greet")
    assert (found["interval_seconds"], found["total"]["requests"], found["attention"]) == (6 * 3600, 0, [])
    assert (await client.get("/api/v1/overview", params={"from": "never"})).status_code == 400
