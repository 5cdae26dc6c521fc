from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gateway.models.feedback import Target
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key


async def find(client: httpx.AsyncClient, **parameters: str | int) -> list[str]:
    answer = await client.get("/api/v1/users", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["user"] for row in answer.json()["data"]]


@pytest.fixture
async def ann_and_bob(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> None:
    """Ann came last and paid more for one request; Bob made two."""
    seqs = await store.append(
        [
            make_exchange("b1", metadata={"_user": "bob"}, started_at_us=1_000_000, ended_at_us=1_004_000),
            make_exchange("b2", metadata={"_user": "bob"}, started_at_us=2_000_000, ended_at_us=2_004_000),
            make_exchange("a1", metadata={"_user": "ann"}, started_at_us=3_000_000, ended_at_us=3_004_000),
        ]
    )
    facts = [Facts(model="m", usage=Usage(5, 1), cost=Cost(cost, "v")) for cost in (1, 1, 5_000_000)]
    await store.annotate(list(zip(seqs, facts, strict=True)), at_us=1)
    await store.put_feedback([make_feedback("a1", target=Target.REQUEST, author="bob", score=1.0)])


@pytest.mark.usefixtures("ann_and_bob")
async def test_a_user_has_the_figures_of_their_requests(client: httpx.AsyncClient) -> None:
    row: dict[str, Any] = (await client.get("/api/v1/users/ann")).json()
    feedback = row.pop("feedback")
    assert row == {
        "user": "ann",
        "last_seen_at": "1970-01-01T00:00:03.000000Z",
        "feedback_given": 0,
        "requests": 1,
        "errors": 0,
        "error_rate": 0,
        "coverage": 1,
        "cost": {"usd": 0.005, "nanousd": 5_000_000, "priced_requests": 1},
        "tokens": {"prompt": 5, "completion": 1, "cached": 0, "counted_requests": 1},
        "latency_ms": {"mean": 4, "p50": 4, "p90": 4, "p95": 4, "p99": 4},
        "first_byte_ms": None,
        "first_seen_at": "1970-01-01T00:00:03.000000Z",
        "models": [{"model": "m", "requests": 1, "cost_usd": 0.005}],
        "sessions": [],
    }
    assert (feedback["count"], feedback["mean_score"]["value"]) == (1, 1)
    [listed, *_] = (await client.get("/api/v1/users")).json()["data"]
    assert listed == {name: {**row, "feedback": feedback}[name] for name in listed}
    assert (await client.get("/api/v1/users/bob")).json()["feedback_given"] == 1


@pytest.mark.usefixtures("ann_and_bob")
async def test_users_are_listed_in_the_order_asked_for(client: httpx.AsyncClient) -> None:
    assert await find(client) == ["ann", "bob"]
    assert await find(client, order="-requests") == ["bob", "ann"]
    assert await find(client, order="-cost") == ["ann", "bob"]
    assert await find(client, order="cost") == ["bob", "ann"]


@pytest.mark.usefixtures("ann_and_bob")
async def test_users_are_found_by_the_beginning_of_their_names_and_by_their_requests(
    client: httpx.AsyncClient,
) -> None:
    assert await find(client, prefix="b") == ["bob"]
    assert await find(client, to="1970-01-01T00:00:02Z") == ["bob"]
    assert await find(client, request_id="a1") == ["ann"]
    assert await find(client, prefix="a", request_id="b1") == []


@pytest.mark.usefixtures("ann_and_bob")
async def test_users_are_paged_through(client: httpx.AsyncClient) -> None:
    first = (await client.get("/api/v1/users?limit=1")).json()
    second = (await client.get(f"/api/v1/users?limit=1&cursor={first['next_cursor']}")).json()
    assert [row["user"] for row in first["data"] + second["data"]] == ["ann", "bob"]
    assert second["next_cursor"] is None


async def test_one_that_gave_feedback_only_was_never_seen(
    client: httpx.AsyncClient, store: Store, make_feedback: MakeFeedback
) -> None:
    await store.put_feedback([make_feedback("t", author="eve")])
    row = (await client.get("/api/v1/users/eve")).json()
    assert (row["last_seen_at"], row["feedback_given"], row["requests"]) == (None, 1, 0)


@pytest.mark.parametrize("name", ["ann@example.org", "a/b", "a/", "日本", "a?b#c", "<b>'\"", "x" * 500])
async def test_a_user_s_name_may_be_any_text(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, name: str
) -> None:
    await store.append([make_exchange(metadata={"_user": name})])
    answer = await client.get(f"/api/v1/users/{quote(name, safe='')}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"] == name


async def test_an_unknown_user_is_404_in_our_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/users/never")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "not_found", "message": "there is no user 'never'.", "field": "user",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/users?colour=red", "colour"),
        ("/api/v1/users?order=score", "order"),
        ("/api/v1/users?prefix=", "prefix"),
        ("/api/v1/users?limit=0", "limit"),
        ("/api/v1/users?cursor=x", "cursor"),
        ("/api/v1/users?from=tuesday", "from"),
        ("/api/v1/users/ann?limit=1", "limit"),
    ],
)
async def test_a_bad_parameter_is_400_and_named(client: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


async def test_a_tenant_sees_what_users_did_with_it_alone(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange(tenant=name, metadata={"_user": "ann"}) for name in ("a", "b", "b")])
    await store.put_feedback([make_feedback("t", author="ann", tenant="b")])
    [mine] = (await client.get("/api/v1/users", headers=key("reader-a"))).json()["data"]
    assert (mine["requests"], mine["feedback_given"]) == (1, 0)
    shown = (await client.get("/api/v1/users/ann", headers=key("reader-a"))).json()
    assert {name: shown[name] for name in mine} == mine
    assert [each["requests"] for each in shown["models"]] == [1]
    assert (await client.get("/api/v1/users/ann")).json()["requests"] == 3
