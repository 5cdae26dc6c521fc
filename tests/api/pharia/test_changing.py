"""Changing and withdrawing entries."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.domain.ids import new_id

from .served import Served, details


async def test_a_patch_adds_and_replaces_fields_of_the_feedback_and_leaves_the_others(served: Served) -> None:
    feedback_id = await served.give({"rating": 2, "tags": {"a": 1}, "note": "x"}, app_id="shop", user="ann")

    await served.change(feedback_id, feedback={"rating": 5, "tags": {"b": 2}, "note": None, "new": []})

    entry = await served.show(feedback_id)
    assert entry["feedback"] == {"rating": 5, "tags": {"b": 2}, "note": None, "new": []}
    assert (entry["app_id"], entry["user"]) == ("shop", "ann")
    assert entry["updated_at"] > entry["created_at"]
    stored = await served.stored(feedback_id)
    assert (stored.version, stored.value, stored.score) == (2, 5, 1)


async def test_a_patch_of_the_application_leaves_the_feedback_alone(served: Served) -> None:
    feedback_id = await served.give({"rating": 2}, app_id="shop", app_version="1")

    await served.change(feedback_id, app_version="2", feedback=None)

    entry = await served.show(feedback_id)
    assert (entry["feedback"], entry["app_id"], entry["app_version"]) == ({"rating": 2}, "shop", "2")


async def test_earlier_versions_are_kept(served: Served) -> None:
    feedback_id = await served.give({"rating": 1})
    await served.change(feedback_id, feedback={"rating": 2})
    await served.change(feedback_id, feedback={"comment": "better"})

    history = await served.store.history(feedback_id)

    assert [json.loads(entry.raw)["feedback"] for entry in history] == [
        {"rating": 1},
        {"rating": 2},
        {"rating": 2, "comment": "better"},
    ]
    assert [entry.comment for entry in history] == [None, None, "better"]


async def test_a_verdict_that_is_taken_back_counts_no_longer(served: Served) -> None:
    feedback_id = await served.give({"rating": 1, "comment": "hm"})

    await served.change(feedback_id, feedback={"rating": None})

    stored = await served.stored(feedback_id)
    assert (stored.kind, stored.value, stored.score, stored.comment) == ("comment", None, None, "hm")


async def test_a_comment_on_a_grade_of_portkeys_leaves_its_score(served: Served) -> None:
    given = await served.portkey("POST", "", {"trace_id": "trace-1", "value": 5, "weight": 0.5})
    [feedback_id] = given.json()["feedback_ids"]

    await served.change(feedback_id, feedback={"comment": "why"})

    stored = await served.stored(feedback_id)
    assert (stored.kind, stored.value, stored.score, stored.weight) == ("rating", 5, 0.5, 0.5)
    assert (await served.show(feedback_id))["feedback"] == {"value": 5, "weight": 0.5, "comment": "why"}


async def test_patches_at_the_same_time_are_all_in_the_last_version(served: Served) -> None:
    feedback_id = await served.give({"rating": 3})

    replies = await asyncio.gather(
        *(served.call("PATCH", f"/{feedback_id}", {"feedback": {f"field-{n}": n}}) for n in range(20))
    )

    assert {reply.status_code for reply in replies} == {200}
    expected = {"rating": 3} | {f"field-{n}": n for n in range(20)}
    assert (await served.show(feedback_id))["feedback"] == expected
    assert [entry.version for entry in await served.store.history(feedback_id)] == list(range(1, 22))


async def test_a_retried_patch_under_an_idempotency_key_makes_one_version(served: Served) -> None:
    feedback_id = await served.give()
    change = {"feedback": {"comment": "x"}}
    replies = [await served.call("PATCH", f"/{feedback_id}", change, Idempotency_Key="k") for _ in range(2)]

    assert [reply.json() for reply in replies] == [{"feedback_id": feedback_id}] * 2
    assert (await served.stored(feedback_id)).version == 2


async def test_a_withdrawn_entry_is_gone_for_all_and_its_history_is_kept(served: Served) -> None:
    feedback_id = await served.give()

    reply = await served.call("DELETE", f"/{feedback_id}", by="admin")

    assert (reply.status_code, reply.json()) == (200, {"feedback_id": feedback_id})
    assert await served.find() == []
    first, last = await served.store.history(feedback_id)
    assert first.deleted_at_us is None
    assert last.deleted_at_us is not None
    assert first.created_at_us <= last.deleted_at_us <= last.updated_at_us
    for method, body in (("PATCH", {"app_id": "x"}), ("DELETE", None)):
        again = await served.call(method, f"/{feedback_id}", body, by="admin")
        assert again.status_code == 404
        assert details(again) == [(["path", "feedback_id"], "not_found")]
    assert (await served.portkey("PUT", f"/{feedback_id}", {"value": 1})).status_code == 404


async def test_an_entry_is_withdrawn_once_however_many_ask_at_once(served: Served) -> None:
    feedback_id = await served.give()

    replies = await asyncio.gather(*(served.call("DELETE", f"/{feedback_id}", by="admin") for _ in range(10)))

    assert sorted(reply.status_code for reply in replies) == [200] + [404] * 9


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"app_id": "x"}), ("DELETE", None)])
async def test_what_does_not_exist_is_not_found(served: Served, method: str, body: object) -> None:
    reply = await served.call(method, f"/{new_id()}", body, by="admin")

    assert reply.status_code == 404
    assert details(reply) == [(["path", "feedback_id"], "not_found")]
