from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.models.feedback import Kind, Source
from gateway.store.base import Store

from .conftest import MakeFeedback, key


async def find(client: httpx.AsyncClient, **parameters: str | int) -> list[str]:
    answer = await client.get("/api/v1/feedback", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["subject_id"] for row in answer.json()["data"]]


async def show(client: httpx.AsyncClient, feedback_id: str) -> Any:
    answer = await client.get(f"/api/v1/feedback/{feedback_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


HERE, THERE = "01a21160-8bfb-75f9-ac07-2ebf032ec337", "01a21160-8bfb-73e4-a0ce-64b92ca80b4c"


@pytest.fixture
async def two_entries(store: Store, make_feedback: MakeFeedback) -> None:
    """`here` and `there`, which differ in everything that can be looked for."""
    await store.put_feedback(
        [
            make_feedback(
                name,
                feedback_id=feedback_id,
                trace_id=f"trace {name}",
                request_id=f"request {name}",
                joined_at_us=joined_at_us,
                kind=kind,
                source=source,
                score=score,
                author=f"author {name}",
                app_id=f"app {name}",
                dialect=f"dialect {name}",
                metadata={"team": f"team {name}", "round": round_},
                created_at_us=created_at_us,
            )
            for name, feedback_id, kind, source, score, joined_at_us, round_, created_at_us in (
                ("here", HERE, Kind.EDIT, Source.MODEL, -0.5, 5, 1, 1_000_000),
                ("there", THERE, Kind.THUMB, Source.CODE, 0.5, None, 2, 2_000_000),
            )
        ]
    )


@pytest.mark.usefixtures("two_entries")
@pytest.mark.parametrize(
    ("name", "here", "there"),
    [
        ("trace_id", "trace here", "trace there"),
        ("request_id", "request here", "request there"),
        ("subject_id", "here", "there"),
        ("feedback_id", HERE, THERE),
        ("author", "author here", "author there"),
        ("app_id", "app here", "app there"),
        ("dialect", "dialect here", "dialect there"),
        ("kind", "edit", "thumb"),
        ("source", "model", "code"),
        ("feedback.metadata.team", "team here", "team there"),
        ("feedback.metadata.round", "1", "2"),
        ("is_joined", "true", "false"),
    ],
)
async def test_each_filter_finds_its_own_and_not_the_other(
    client: httpx.AsyncClient, name: str, here: str, there: str
) -> None:
    assert await find(client, **{name: here}) == ["here"]
    assert await find(client, **{name: there}) == ["there"]


@pytest.mark.usefixtures("two_entries")
async def test_scores_and_times_are_found_by_their_bounds(client: httpx.AsyncClient) -> None:
    assert await find(client, min_score="0.5") == ["there"]
    assert await find(client, max_score="-0.5") == ["here"]
    assert await find(client, min_score="-0.5", max_score="0.5") == ["there", "here"]
    assert await find(client, **{"from": 2_000_000}) == ["there"]
    assert await find(client, to="1970-01-01T00:00:02Z") == ["here"]
    assert await find(client, to="1970-01-01T00:00:02Z", min_score="0") == []


async def test_following_cursors_meets_each_entry_once_also_those_of_one_moment(
    client: httpx.AsyncClient, store: Store, make_feedback: MakeFeedback
) -> None:
    entries = [make_feedback(f"e{n}", created_at_us=1_000_000 + n // 4) for n in range(10)]
    await store.put_feedback(entries)
    seen: list[str] = []
    parameters: dict[str, str | int] = {"limit": 3}
    while True:
        answer = (await client.get("/api/v1/feedback", params=parameters)).json()
        seen += [row["feedback_id"] for row in answer["data"]]
        await store.put_feedback([make_feedback("later")])
        if answer["next_cursor"] is None:
            break
        parameters["cursor"] = answer["next_cursor"]
    ordered = sorted(entries, key=lambda entry: (-entry.created_at_us, entry.feedback_id))
    assert seen == [entry.feedback_id for entry in ordered]


@pytest.mark.parametrize(
    ("path", "field", "allowed"),
    [
        ("?colour=red", "colour", "min_score"),
        ("?attempt=second", "attempt", "whole number"),
        ("?total_tokens=2", "total_tokens", "trace_id"),
        ("?status=20", "status", "4xx"),
        ("?rating=5", "rating", "good, bad"),
        ("?limit=501", "limit", "from 1 to 500"),
        ("?cursor=5", "cursor", "next_cursor"),
        ("?kind=fine", "kind", "rating, thumb"),
        ("?source=dog", "source", "implicit"),
        ("?is_joined=yes", "is_joined", "true or false"),
        ("?min_score=high", "min_score", "number"),
        ("?max_score=nan", "max_score", "number"),
        (f"?min_score={'9' * 400}", "min_score", "number"),
        ("?from=tuesday", "from", "RFC 3339"),
        ("?author=a&author=b", "author", "once"),
        (f"/{HERE}?colour=red", "colour", "takes none"),
    ],
)
async def test_a_bad_parameter_is_400_and_named(
    client: httpx.AsyncClient, path: str, field: str, allowed: str
) -> None:
    answer = await client.get(f"/api/v1/feedback{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "bad_input", field)
    assert allowed in error["message"]


async def test_an_entry_is_shown_with_its_history(
    client: httpx.AsyncClient, store: Store, make_feedback: MakeFeedback
) -> None:
    first = make_feedback("t", value=1.0, raw='{"value":1}')
    second = replace(first, version=2, value=2.0, raw='{"value":2}')
    await store.put_feedback([first])
    await store.put_feedback([second])
    entry = await show(client, first.feedback_id.upper())
    assert (entry["version"], entry["value"], entry["raw"]) == (2, 2, {"value": 2})
    assert [version["raw"] for version in entry["versions"]] == [{"value": 1}, {"value": 2}]
    assert entry["deleted_at"] is None


async def test_a_withdrawn_entry_is_listed_no_more_but_shown_with_when_that_was(
    client: httpx.AsyncClient, store: Store, make_feedback: MakeFeedback
) -> None:
    entry = make_feedback("t")
    await store.put_feedback([entry])
    path = f"/api/v1/feedback/{entry.feedback_id}"
    gone = await client.delete(path, headers=key("admin"))
    assert (gone.status_code, gone.json()) == (200, {"feedback_id": entry.feedback_id})
    assert await find(client) == []
    shown = await show(client, entry.feedback_id)
    assert (shown["version"], shown["dialect"], shown["deleted_at"] is None) == (2, "native", False)
    assert [version["deleted_at"] is None for version in shown["versions"]] == [True, False]
    again = await client.delete(path, headers=key("admin"))
    assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")


async def test_an_unknown_entry_is_404_in_our_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/feedback/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "code": "not_found",
            "message": "no feedback entry has the id nowhere.",
            "field": "feedback_id",
        }
    }


async def test_tenants_neither_list_nor_read_nor_withdraw_each_others_entries(
    client: httpx.AsyncClient, store: Store, make_feedback: MakeFeedback
) -> None:
    entry = make_feedback("mine", tenant="a")
    await store.put_feedback([entry])
    path = f"/api/v1/feedback/{entry.feedback_id}"
    assert (await client.get(path, headers=key("reader-a"))).status_code == 200
    assert (await client.get(path, headers=key("reader-b"))).status_code == 404
    assert (await client.delete(path, headers=key("admin-b"))).status_code == 404
    listed = await client.get("/api/v1/feedback", headers=key("reader-b"))
    assert listed.json() == {"data": [], "next_cursor": None, "unknown_keys": []}
    assert await find(client) == ["mine"]
    assert (await client.delete(path, headers=key("admin"))).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/feedback", [200, 200, 403, 401]),
        ("GET", f"/api/v1/feedback/{HERE}", [200, 200, 403, 401]),
        ("DELETE", f"/api/v1/feedback/{HERE}", [403, 200, 403, 401]),
    ],
)
@pytest.mark.usefixtures("two_entries")
async def test_readers_read_and_only_admins_withdraw(
    client: httpx.AsyncClient, method: str, path: str, expected: list[int]
) -> None:
    callers = ("reader", "admin", "app", "stranger")
    answers = [await client.request(method, path, headers=key(name)) for name in callers]
    assert [answer.status_code for answer in answers] == expected
    assert all(answer.headers["Cache-Control"] == "no-store" for answer in answers)
