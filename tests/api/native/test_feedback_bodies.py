"""Feedback that is given to our own API: what is taken, what it becomes, and what the reply says of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.models.feedback import Kind, Target
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.ids import new_id
from gateway.store.base import Store

from .conftest import MakeExchange, key


async def post(client: httpx.AsyncClient, body: object, by: str = "voter", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/api/v1/feedback", json=body, headers={**key(by), **named})


async def give(client: httpx.AsyncClient, body: object, by: str = "voter", **headers: str) -> list[Any]:
    """What became of feedback that is taken."""
    reply = await post(client, body, by, **headers)
    assert reply.status_code == 200, reply.text
    return list(reply.json()["data"])


async def count(store: Store) -> int:
    return len(await store.find_feedback(NO_FILTER, Sort(), Page(limit=10_000), None))


@pytest.mark.parametrize(
    ("sent", "by", "kept"),
    [
        ({"thumb": "up"}, "voter", (Kind.THUMB, 1, 1, 10)),
        ({"thumb": "down"}, "voter", (Kind.THUMB, -1, -1, -10)),
        ({"rating": 5}, "voter", (Kind.RATING, 5, 1, 10)),
        ({"rating": 2.5, "score": None}, "voter", (Kind.RATING, 2.5, -0.25, -2.5)),
        ({"score": -0.5}, "voter", (Kind.SCORE, -0.5, -0.5, -5)),
        ({"value": 1}, "voter", (Kind.RATING, 1, 0.1, 1)),
        ({"value": 1}, "thumbs", (Kind.RATING, 1, 1, 1)),
        ({"value": 0}, "thumbs", (Kind.RATING, 0, -1, 0)),
        ({"comment": "Too long"}, "voter", (Kind.COMMENT, None, None, None)),
        ({"label": "off-topic"}, "voter", (Kind.CUSTOM, None, None, None)),
        ({"edited_text": "Hello, Ann"}, "voter", (Kind.EDIT, None, None, None)),
        ({"edited_text": "Hello, Ann", "thumb": "down"}, "voter", (Kind.EDIT, -1, -1, -10)),
    ],
)
async def test_each_way_to_say_it_becomes_what_it_means(
    client: httpx.AsyncClient, store: Store, sent: dict[str, object], by: str, kept: tuple[object, ...]
) -> None:
    body = {"id": "trace-1", **sent}

    [given] = await give(client, body, by)

    [entry] = await store.feedback_by_ids([given["feedback_id"]])
    assert (entry.kind, entry.value, entry.score, entry.grade) == kept
    assert (entry.dialect, entry.key_name, entry.weight, json.loads(entry.raw)) == ("native", by, 1, body)


async def test_all_that_may_come_together_is_kept(client: httpx.AsyncClient, store: Store) -> None:
    said = {
        "label": "rude", "comment": "No\nthanks", "original_text": "Hi", "edited_text": "Hello", "author": "ann",
        "weight": 0.5, "metadata": {"_user": "bob", "page": 3},
    }  # fmt: skip

    [given] = await give(client, {"id": "trace-1", "thumb": "down", **said})

    [entry] = await store.feedback_by_ids([given["feedback_id"]])
    assert {name: getattr(entry, name) for name in said} == said


async def test_the_author_is_the_user_of_the_metadata_where_none_is_named(
    client: httpx.AsyncClient, store: Store
) -> None:
    [given] = await give(client, {"id": "trace-1", "thumb": "up", "metadata": {"_user": "ann"}})

    assert (await store.feedback_by_ids([given["feedback_id"]]))[0].author == "ann"


async def test_the_reply_says_of_each_what_it_was_joined_to_or_that_it_waits(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("request-1", "trace-1", metadata={"_session": "talk"})])
    ids = ["trace-1", "request-1", "talk", "mistyped"]

    reply = await post(client, [{"id": each, "thumb": "up"} for each in ids])

    assert reply.headers["x-gateway-feedback-joined"] == "3 of 4"
    rows = reply.json()["data"]
    assert [row["id"] for row in rows] == ids
    named = [
        (row["joined"], row["target"], row["trace_id"], row["request_id"], row["session"]) for row in rows
    ]
    assert named == [
        (True, Target.TRACE, "trace-1", None, None),
        (True, Target.REQUEST, "trace-1", "request-1", None),
        (True, Target.SESSION, None, None, "talk"),
        (False, None, None, None, None),
    ]
    notes = [row["note"] for row in rows]
    assert notes == [
        None, None, None, "Nothing is logged yet under 'mistyped', so this feedback waits for it.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        ({"thumb": "up"}, "id", "is missing"),
        ({"id": "", "thumb": "up"}, "id", "printable string of 1 to 512 bytes"),
        ({"id": "a", "thumb": 1}, "thumb", "must be up or down; got 1."),
        ({"id": "a", "rating": 0}, "rating", "must be a number from 1 to 5; got 0."),
        ({"id": "a", "rating": True}, "rating", "must be a number from 1 to 5; got true."),
        ({"id": "a", "score": 2}, "score", "must be a number from -1 to 1; got 2."),
        ({"id": "a", "value": 1.5}, "value", "must be an integer from -10 to 10; got 1.5."),
        ({"id": "a", "value": 1, "weight": "1"}, "weight", "must be a number from 0 to 1"),
        ({"id": "a", "comment": ["no"]}, "comment", "must be a string"),
        ({"id": "a", "comment": "a\0b"}, "comment", "U+0000"),
        ({"id": "a", "thumb": "up", "author": "\n"}, "author", "printable string"),
        ({"id": "a", "thumb": "up", "metadata": [1]}, "metadata", "must be an object"),
        ({"id": "a", "thumb": "up", "feedback_id": "1"}, "feedback_id", "must be a UUID"),
        ({"id": "a", "thumb": "up", "rating": 5}, "rating", "cannot be combined with thumb"),
        ({"id": "a", "original_text": "b", "comment": "c"}, "original_text", "needs edited_text as well."),
        ({"id": "a"}, "body", "has no content. Send thumb, rating, score, value, label, comment or edited_text."),
        ({"id": "a", "comment": ""}, "body", "has no content."),
        ({"trace_id": "a", "thumb": "up"}, "trace_id", "is not a known field. Send it as id."),
        ({"id": "a", "thumbs": "up"}, "thumbs", "is not a known field. Allowed: id, thumb,"),
        ("up", "body", "must be an object"),
        ([], "body", "array of 1 to 1,000"),
        ([{"id": "a", "thumb": "up"}, {"id": "a", "rating": 6}], "[1].rating", "must be a number from 1"),
        ([{"id": "a", "thumb": "up"}, {"id": "a"}], "[1]", "has no content."),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named_with_what_to_send_and_nothing_is_stored(
    client: httpx.AsyncClient, store: Store, sent: object, field: str, message: str
) -> None:
    reply = await post(client, sent)

    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["field"]) == (400, "bad_input", field)
    assert message in error["message"]
    assert await count(store) == 0


async def test_a_retry_by_key_or_by_id_is_one_entry_and_other_content_is_refused(
    client: httpx.AsyncClient, store: Store
) -> None:
    by_id = {"id": "trace-1", "thumb": "up", "feedback_id": new_id()}
    for headers, body in (({"Idempotency_Key": "k"}, {"id": "trace-1", "rating": 4}), ({}, by_id)):
        first, again = [await give(client, body, **headers) for _ in range(2)]
        assert first == again
        other = await post(client, {**body, "comment": "hm"}, **headers)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert await count(store) == 2


@pytest.mark.parametrize(("by", "status"), [("reader", 403), ("nobody", 401), ("admin", 200)])
async def test_it_takes_a_key_with_the_role_feedback(client: httpx.AsyncClient, by: str, status: int) -> None:
    assert (await post(client, {"id": "trace-1", "thumb": "up"}, by)).status_code == status


async def test_a_tenants_feedback_is_joined_to_its_own_rows_alone(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append(
        [make_exchange(trace_id="ours", tenant="a"), make_exchange(trace_id="theirs", tenant="b")]
    )

    rows = await give(client, [{"id": name, "thumb": "up"} for name in ("ours", "theirs")], by="voter-a")

    assert [row["joined"] for row in rows] == [True, False]


async def test_feedback_that_came_first_is_shown_joined_when_it_is_sent_again(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    async def send() -> Any:
        return (await give(client, {"id": "trace-1", "thumb": "up"}, Idempotency_Key="k"))[0]

    waiting = await send()
    await store.append([make_exchange("request-1", "trace-1")])
    joined = await send()

    assert (waiting["joined"], joined["joined"]) == (False, True)
    assert waiting["feedback_id"] == joined["feedback_id"]
