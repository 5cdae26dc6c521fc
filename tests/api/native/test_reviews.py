"""Reviews over HTTP: who may, what is refused, and what the lists show."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.models.feedback import Source
from gateway.store.base import Store
from tests.api.native.conftest import key
from tests.factories import MakeExchange, MakeFeedback


async def put(client: httpx.AsyncClient, request_id: str, who: str, **body: Any) -> httpx.Response:
    return await client.post(f"/api/v1/requests/{request_id}/review", json=body, headers=key(who))


async def ask(client: httpx.AsyncClient, path: str, who: str = "reader") -> Any:
    response = await client.get(f"/api/v1/{path}", headers=key(who))
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
async def filled(store: Store, make_exchange: MakeExchange) -> Store:
    await store.append([make_exchange(f"r{number}", f"t{number}", tenant="a") for number in range(3)])
    return store


@pytest.mark.usefixtures("filled")
async def test_a_review_is_shown_listed_and_filtered_by(client: httpx.AsyncClient) -> None:
    assert (await ask(client, "requests/r1"))["review"] is None
    reserved = (await put(client, "r1", "ann", state="reserved")).json()["review"]
    assert {name: reserved[name] for name in ("request_id", "trace_id", "tenant", "state", "reviewer", "note")} == {
        "request_id": "r1", "trace_id": "t1", "tenant": "a", "state": "reserved", "reviewer": "ann", "note": None,
    }  # fmt: skip
    assert reserved["reserved_until"] > reserved["at"]
    refused = await put(client, "r1", "ben", state="reviewed")
    assert refused.status_code == 409
    assert refused.json()["error"]["field"] == "state"
    assert f"reserved by 'ann' until {reserved['reserved_until']}" in refused.json()["error"]["message"]
    reviewed = (await put(client, "r1", "ann", state="reviewed", note="wrong tone")).json()["review"]
    assert (reviewed["state"], reviewed["note"], reviewed["reserved_until"]) == (
        "reviewed",
        "wrong tone",
        None,
    )
    await put(client, "r2", "ben", state="reserved")
    assert (await ask(client, "requests/r1"))["review"] == reviewed
    for query, ids in [
        ("reviewed=true", ["r1"]), ("reviewed=false", ["r2", "r0"]), ("reviewed_by=ann", ["r1"]),
        ("reserved_by=ben", ["r2"]), ("reserved_by=ann", []),
    ]:  # fmt: skip
        assert [row["request_id"] for row in (await ask(client, f"requests?{query}"))["data"]] == ids
    assert [row["request_id"] for row in (await ask(client, "reviews?state=reserved"))["data"]] == ["r2"]
    first = await ask(client, "reviews?limit=1&from=1h")
    rest = await ask(client, f"reviews?cursor={first['next_cursor']}")
    assert [row["reviewer"] for row in first["data"] + rest["data"]] == ["ben", "ann"]
    assert (await ask(client, "reviews", "reader-b"))["data"] == []
    assert (await put(client, "r1", "ann", state="open")).json() == {"review": None}


@pytest.mark.usefixtures("filled")
async def test_who_may_not_and_what_is_no_review_is_refused(client: httpx.AsyncClient) -> None:
    for who in ("reader", "voter", "app"):
        assert (await put(client, "r1", who, state="reserved")).status_code == 403
        assert (await client.post("/api/v1/reviews/next", headers=key(who))).status_code == 403
    bad: list[tuple[dict[str, Any], str]] = [
        ({"state": "done"}, "state"), ({}, "state"), ({"state": "reserved", "note": "x"}, "note"),
        ({"state": "reviewed", "note": 7}, "note"), ({"state": "reviewed", "note": "x" * 4001}, "note"),
        ({"state": "open", "by": "ann"}, "by"),
    ]  # fmt: skip
    for body, field in bad:
        refused = await put(client, "r1", "ann", **body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
    assert (await put(client, "nothing", "ann", state="reserved")).status_code == 404
    assert (await put(client, "r1", "ben-b", state="reserved")).status_code == 404
    # An admin reviews too, and the role review reads and gives feedback.
    assert (await put(client, "r1", "admin", state="reserved")).status_code == 200
    assert (await client.get("/api/v1/requests", headers=key("ann"))).status_code == 200
    assert (await client.delete("/api/v1/feedback/x", headers=key("ann"))).status_code == 403


async def test_what_a_reviewer_says_is_feedback_by_that_person(
    filled: Store, client: httpx.AsyncClient
) -> None:
    said = [
        {"id": "r1", "label": "off-topic"},
        {"id": "r1", "comment": "wrong country"},
        {"id": "r1", "edited_text": "In Settings."},
        {"id": "r1", "score": -1, "author": "cid"},
        {"id": "r1", "score": 0.5, "source": "model"},
    ]
    given = await client.post("/api/v1/feedback", json=said, headers=key("ann"))
    assert given.status_code == 200, given.text
    entries = (await ask(client, "requests/r1"))["feedback"]
    assert [(each["author"], each["source"]) for each in entries] == [
        ("ann", "human"), ("ann", "human"), ("ann", "human"), ("cid", "human"), (None, "model"),
    ]  # fmt: skip
    assert (entries[0]["label"], entries[1]["comment"], entries[2]["edited_text"]) == (
        "off-topic", "wrong country", "In Settings.",
    )  # fmt: skip
    await put(client, "r1", "ann", state="reviewed")
    assert len((await ask(client, "feedback?reviewed=true&label=off-topic"))["data"]) == 1
    assert (await ask(client, "feedback?reviewed=false"))["data"] == []
    bad = await client.post(
        "/api/v1/feedback", json={"id": "r1", "score": 1, "source": "me"}, headers=key("ann")
    )
    assert (bad.status_code, bad.json()["error"]["field"]) == (400, "source")


@pytest.mark.usefixtures("filled")
async def test_the_queue_gives_each_caller_another_request(client: httpx.AsyncClient) -> None:
    async def take(who: str, query: str = "") -> Any:
        response = await client.post(f"/api/v1/reviews/next{query}", headers=key(who))
        assert response.status_code == 200, response.text
        return response.json()

    taken = await asyncio.gather(*(take(who) for who in ("ann", "ben", "ann")))
    assert sorted(each["request"]["request_id"] for each in taken) == ["r0", "r1", "r2"]
    assert [each["review"]["reviewer"] for each in taken] == ["ann", "ben", "ann"]
    assert await take("ben", "?model=x") == {"request": None, "review": None, "unknown_keys": []}
    assert (await take("ben", "?metadata.taem=x"))["unknown_keys"] == ["metadata.taem"]
    # A read reserves nothing.
    assert (await client.head("/api/v1/reviews/next", headers=key("ann"))).status_code in (404, 405)


async def test_agreement_is_told_with_its_intervals(
    store: Store, client: httpx.AsyncClient, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange(f"r{number}", f"t{number}") for number in range(12)])
    given = []
    for number in range(12):
        good = 1.0 if number % 2 else -1.0
        ben = -good if number < 2 else good
        for author, score, source in [
            ("ann", good, Source.HUMAN), ("ben", ben, Source.HUMAN), (None, good / 2, Source.MODEL)
        ]:  # fmt: skip
            entry = make_feedback(f"t{number}", author=author, score=score, value=score, source=source)
            given.append(entry)
    await store.put_feedback(given)
    found = await ask(client, "reviews/agreement?to=now")
    assert (found["scores"], found["read_back_to"]) == (36, None)
    [pair] = found["people"]["pairs"]
    assert (pair["people"], pair["requests"]) == (["ann", "ben"], 12)
    assert pair["kappa"]["value"] == pytest.approx(2 / 3)
    assert 0 < pair["kappa"]["low"] < pair["kappa"]["value"] < pair["kappa"]["high"] <= 1
    assert found["people"]["alpha"]["value"] == pytest.approx(1 - (2 * 4 * 23) / (12 * 12 * 4))
    models = found["models"]
    assert (models["requests"], models["same_sign"]["value"]) == (12, pytest.approx(10 / 12))
    assert models["correlation"]["value"] == pytest.approx((10 / 12) ** 0.5, abs=1e-3)
    assert (await ask(client, "reviews/agreement?trace_id=t0"))["people"]["requests"] == 1
