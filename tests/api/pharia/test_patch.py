"""Changing and deleting entries."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.models.ids import new_id

from .served import DELETED, UPDATED, Served, details, exchange


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


async def test_feedback_that_is_taken_back_counts_no_longer(served: Served) -> None:
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

    assert [reply.json() for reply in replies] == [UPDATED] * 2
    assert (await served.stored(feedback_id)).version == 2


async def test_a_thumb_that_is_turned_is_an_entry_in_two_versions(served: Served) -> None:
    feedback_id = await served.give({"rating": "thumbs_up"})
    given = await served.stored(feedback_id)
    assert (given.kind, given.value, given.score) == ("thumb", 1, 1)

    await served.change(feedback_id, feedback={"rating": "thumbs_down", "change_reason": "reconsidered"})

    changed = await served.stored(feedback_id)
    assert (changed.version, changed.kind, changed.value, changed.score) == (2, "thumb", 0, -1)
    shown = (await served.show(feedback_id))["feedback"]
    assert shown == {"rating": "thumbs_down", "change_reason": "reconsidered"}


async def test_a_rating_of_a_type_is_turned_and_its_comment_kept(served: Served) -> None:
    feedback_id = await served.give({"type": "rating", "value": 5, "comment": "Excellent!"})

    await served.change(feedback_id, feedback={"value": 1, "updated_reason": "changed mind"})

    changed = await served.stored(feedback_id)
    assert (changed.kind, changed.value, changed.score, changed.comment) == ("rating", 1, -1, "Excellent!")


@pytest.mark.parametrize(
    ("given", "change", "expected"),
    [
        ({"thumbs_up": True}, {"thumbs_down": True}, ("thumb", 0, -1)),
        ({"rating": 5}, {"type": "rating", "value": 1}, ("rating", 1, -1)),
        ({"rating": 5}, {"type": "thumbs_down"}, ("thumb", 0, -1)),
        ({"rating": 5}, {"score": -1}, ("score", -1, -1)),
        ({"type": "rating", "value": 5}, {"rating": "thumbs_down"}, ("thumb", 0, -1)),
        ({"type": "thumbs_up"}, {"type": "thumbs_down"}, ("thumb", 0, -1)),
        ({"type": "thumbs_up", "rating": 4}, {"comment": "why"}, ("rating", 4, 0.5)),
    ],
)
async def test_feedback_in_a_change_counts_whatever_it_was_called_before(
    served: Served, given: dict[str, object], change: dict[str, object], expected: tuple[str, float, float]
) -> None:
    feedback_id = await served.give(given)
    for step in (change, {"reason": "reconsidered"}):
        await served.change(feedback_id, feedback=step)
        stored = await served.stored(feedback_id)
        assert (stored.kind, stored.value, stored.score) == expected


async def test_feedback_that_was_overruled_counts_again_when_it_is_said_again(served: Served) -> None:
    feedback_id = await served.give({"rating": 5})
    await served.change(feedback_id, feedback={"score": -1})
    await served.change(feedback_id, feedback={"rating": 5})
    stored = await served.stored(feedback_id)
    assert (stored.kind, stored.value, stored.score) == ("rating", 5, 1)


async def give_pair(served: Served) -> tuple[str, str]:
    """Give an original and an edit as entries of their own, and return their ids."""
    original = await served.give({"type": "original_response", "content": "a"})
    edit = {"type": "user_edit", "content": "b", "edit_type": "improvement"}
    return original, await served.give(edit)


async def texts(served: Served, feedback_id: str) -> tuple[str | None, str | None]:
    """Both texts of an edit."""
    entry = await served.stored(feedback_id)
    return entry.original_text, entry.edited_text


async def test_a_change_of_either_side_of_a_pair_shows_in_the_edit(served: Served) -> None:
    original, edit = await give_pair(served)

    await served.change(original, feedback={"content": "a2"})
    assert await texts(served, edit) == ("a2", "b")
    await served.change(edit, feedback={"content": "b2"})
    assert await texts(served, edit) == ("a2", "b2")
    await served.change(edit, feedback={"original_text": "own"})
    assert await texts(served, edit) == ("own", "b2")
    await served.change(edit, feedback={"original_text": None})
    assert await texts(served, edit) == ("a2", "b2")
    assert (await served.show(edit))["feedback"] == {
        "type": "user_edit", "content": "b2", "edit_type": "improvement", "original_text": None,
    }  # fmt: skip


async def test_a_change_of_an_edit_in_another_dialect_leaves_its_original_with_the_other_entry(
    served: Served,
) -> None:
    original, edit = await give_pair(served)
    for feedback_id in (original, edit):
        assert (await served.portkey("PUT", f"/{feedback_id}", {"value": 3})).status_code == 200

    assert (await served.show(original))["feedback"] == {
        "type": "original_response", "content": "a", "value": 3, "weight": 1,
    }  # fmt: skip
    assert (await served.show(edit))["feedback"] == {"user_edit": "b", "value": 3, "weight": 1}
    await served.change(original, feedback={"content": "a2"})
    assert await texts(served, edit) == ("a2", "b")


async def test_a_deleted_entry_is_gone_for_good_with_its_versions(served: Served) -> None:
    feedback_id = await served.give()
    await served.change(feedback_id, feedback={"rating": 1})

    reply = await served.call("DELETE", f"/{feedback_id}", by="admin")

    assert (reply.status_code, reply.json()) == (200, DELETED)
    assert await served.find() == []
    assert await served.store.history(feedback_id) == []
    for method, body in (("PATCH", {"app_id": "x"}), ("DELETE", None)):
        again = await served.call(method, f"/{feedback_id}", body, by="admin")
        assert again.status_code == 404
        assert details(again) == [(["path", "feedback_id"], "not_found")]
    assert (await served.portkey("PUT", f"/{feedback_id}", {"value": 1})).status_code == 404


async def test_a_deleted_original_takes_its_text_out_of_the_edit(served: Served) -> None:
    await served.store.append([exchange("request-1", "trace-1")])
    original, edit = await give_pair(served)
    assert await texts(served, edit) == ("a", "b")

    assert (await served.call("DELETE", f"/{original}", by="admin")).json() == DELETED

    assert await texts(served, edit) == (None, "b")


async def test_a_call_under_the_idempotency_key_of_a_deleted_entry_makes_another(served: Served) -> None:
    sent = {"trace_id": "trace-1", "feedback": {"rating": 1}}
    first = (await served.call("POST", "", sent, Idempotency_Key="k")).json()["feedback_id"]
    await served.call("DELETE", f"/{first}", by="admin")

    second = (await served.call("POST", "", sent, Idempotency_Key="k")).json()["feedback_id"]

    assert [entry["feedback_id"] for entry in await served.find()] == [second]
    assert second != first


async def test_an_entry_is_deleted_once_however_many_ask_at_once(served: Served) -> None:
    feedback_id = await served.give()

    replies = await asyncio.gather(*(served.call("DELETE", f"/{feedback_id}", by="admin") for _ in range(10)))

    assert sorted(reply.status_code for reply in replies) == [200] + [404] * 9


async def test_a_change_that_races_with_a_deletion_does_not_bring_the_entry_back(served: Served) -> None:
    feedback_id = await served.give()

    replies = await asyncio.gather(
        *(served.call("PATCH", f"/{feedback_id}", {"feedback": {"n": n}}) for n in range(10)),
        served.call("DELETE", f"/{feedback_id}", by="admin"),
    )

    assert replies[-1].status_code == 200
    assert {reply.status_code for reply in replies} <= {200, 404}
    assert await served.store.history(feedback_id) == []


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"app_id": "x"}), ("DELETE", None)])
async def test_what_does_not_exist_is_not_found(served: Served, method: str, body: object) -> None:
    reply = await served.call(method, f"/{new_id()}", body, by="admin")

    assert reply.status_code == 404
    assert details(reply) == [(["path", "feedback_id"], "not_found")]
