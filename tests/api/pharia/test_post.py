"""Feedback as it is given: what is kept of it, and what it counts as."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest

from gateway.models.feedback import Kind, Source, Target

from .served import GOOD, Served, details, exchange


async def test_feedback_is_answered_with_its_id_and_kept_as_it_was_sent(served: Served) -> None:
    sent = {
        "trace_id": "trace-1",
        "app_id": "shop",
        "app_version": "1.2",
        "user": "ann",
        "metadata": {"page": [1, None]},
        "feedback": {"rating": 4, "deep": {"list": [1, 2.5, None, True, "é\u0000"]}},
        "unknown": 7,
    }

    reply = await served.call("POST", "", sent)

    assert reply.status_code == 200
    assert set(reply.json()) == {"feedback_id"}
    entry = await served.stored(reply.json()["feedback_id"])
    assert UUID(entry.feedback_id).version == 7
    assert json.loads(entry.raw) == sent
    assert (entry.subject_id, entry.target, entry.app_id, entry.app_version) == (
        "trace-1",
        Target.TRACE,
        "shop",
        "1.2",
    )
    assert (entry.author, entry.metadata, entry.dialect, entry.key_name) == (
        "ann",
        {"page": [1, None]},
        "pharia",
        "app",
    )
    assert (entry.kind, entry.value, entry.score, entry.weight, entry.source) == (
        Kind.RATING,
        4,
        0.5,
        1,
        Source.HUMAN,
    )


@pytest.mark.parametrize(
    ("feedback", "kind", "value", "score"),
    [
        ({"rating": 1}, "rating", 1, -1),
        ({"rating": 5, "comment": "good"}, "rating", 5, 1),
        ({"thumbs_up": True}, "thumb", 1, 1),
        ({"type": "thumbs_down"}, "thumb", 0, -1),
        ({"score": -0.25}, "score", -0.25, -0.25),
        ({"value": 7}, "score", 7, None),
        ({"comment": "only words"}, "comment", None, None),
        ({"original_response": "a", "user_edit": "b"}, "edit", None, None),
        ({"content_edit": "b", "rating": 2}, "edit", 2, -0.5),
        ({"type": "rating", "value": 5, "comment": "good"}, "rating", 5, 1),
        ({"type": "rating", "value": 1, "updated_reason": "why"}, "rating", 1, -1),
        ({"rating": "thumbs_up"}, "thumb", 1, 1),
        ({"rating": "thumbs_down", "change_reason": "why"}, "thumb", 0, -1),
        (
            {"type": "content_edit", "original_text": "a", "edited_text": "b", "edit_reason": "r"},
            "edit",
            None,
            None,
        ),
        ({"type": "original_response", "content": "a"}, "original", None, None),
        ({"type": "user_edit", "content": "b", "edit_type": "improvement"}, "edit", None, None),
        ({"rating": 6}, "custom", None, None),
        ({"colour": "red"}, "custom", None, None),
        ({}, "custom", None, None),
    ],
)
async def test_known_shapes_count_and_all_others_are_kept_just_the_same(
    served: Served, feedback: dict[str, object], kind: str, value: float | None, score: float | None
) -> None:
    feedback_id = await served.give(feedback)

    entry = await served.stored(feedback_id)
    assert (entry.kind, entry.value, entry.score) == (kind, value, score)
    assert (await served.show(feedback_id))["feedback"] == feedback


async def test_an_edit_fills_the_columns_of_both_texts(served: Served) -> None:
    entry = await served.stored(
        await served.give({"original_response": "a", "user_edit": "b", "comment": "c"})
    )

    assert (entry.original_text, entry.edited_text, entry.comment) == ("a", "b", "c")


async def test_a_content_edit_fills_the_columns_of_both_texts(served: Served) -> None:
    entry = await served.stored(
        await served.give({"type": "content_edit", "original_text": "a", "edited_text": "b"})
    )

    assert (entry.original_text, entry.edited_text, entry.original_id) == ("a", "b", None)


@pytest.mark.parametrize("is_original_first", [True, False])
async def test_an_original_and_an_edit_of_their_own_read_as_one_edit_in_either_order(
    served: Served, is_original_first: bool
) -> None:
    shapes = [{"type": "original_response", "content": "a"}, {"type": "user_edit", "content": "b"}]
    ids = [await served.give(shape) for shape in (shapes if is_original_first else shapes[::-1])]
    original, edit = ids if is_original_first else ids[::-1]

    entry = await served.stored(edit)

    assert (entry.kind, entry.original_text, entry.edited_text) == (Kind.EDIT, "a", "b")
    assert entry.original_id == original
    assert (await served.stored(original)).kind is Kind.ORIGINAL
    assert (await served.show(edit))["feedback"] == {"type": "user_edit", "content": "b"}


async def test_a_second_edit_by_the_same_author_replaces_nothing(served: Served) -> None:
    await served.give({"type": "original_response", "content": "a"})
    first = await served.give({"type": "user_edit", "content": "b"}, user="ann")
    await served.give({"type": "original_response", "content": "a2"})
    second = await served.give({"type": "user_edit", "content": "c"}, user="ann")

    edits = [await served.stored(feedback_id) for feedback_id in (first, second)]

    assert [(each.version, each.original_text, each.edited_text) for each in edits] == [
        (1, "a", "b"),
        (1, "a2", "c"),
    ]
    assert len(await served.find("trace_id=trace-1")) == 4


async def test_a_pair_of_tenants_is_of_one_tenant(served: Served) -> None:
    await served.give({"type": "original_response", "content": "a"}, by="north")
    edit = await served.give({"type": "user_edit", "content": "b"}, by="south-admin")

    assert (await served.stored(edit)).original_text is None


async def test_a_weight_of_0_is_kept(served: Served) -> None:
    assert (await served.stored(await served.give({"rating": 5, "weight": 0}))).weight == 0


async def test_two_people_on_one_trace_make_two_entries(served: Served) -> None:
    for user in ("ann", "bob"):
        await served.give(user=user)

    assert [entry["user"] for entry in await served.find("trace_id=trace-1")] == ["ann", "bob"]


async def test_paths_work_without_api_and_with_a_trailing_slash(served: Served) -> None:
    headers = {"Authorization": "Bearer admin"}
    client = served.client
    made = await client.post("/feedback/", json=GOOD, headers=headers)
    feedback_id = made.json()["feedback_id"]

    changed = await client.patch(f"/feedback/{feedback_id}", json={"app_id": "shop"}, headers=headers)
    listed = await client.get("/feedback", headers=headers)
    gone = await client.delete(f"/feedback/{feedback_id}/", headers=headers)

    assert [reply.status_code for reply in (made, changed, listed, gone)] == [200] * 4
    assert [entry["app_id"] for entry in listed.json()] == ["shop"]
    assert await served.find() == []


async def test_feedback_before_its_request_is_joined_when_the_request_appears(served: Served) -> None:
    feedback_id = await served.give(trace_id="request-1")
    assert (await served.show(feedback_id))["trace_id"] == "request-1"

    await served.store.append([exchange("request-1", "trace-9")])

    assert (await served.show(feedback_id))["trace_id"] == "trace-9"
    for name in ("request-1", "trace-9"):
        assert [entry["feedback_id"] for entry in await served.find(f"trace_id={name}")] == [feedback_id]


async def test_a_retry_under_an_idempotency_key_gets_the_same_reply(served: Served) -> None:
    replies = await asyncio.gather(*(served.call("POST", "", GOOD, Idempotency_Key="k") for _ in range(10)))

    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert len(await served.find()) == 1


async def test_another_call_under_a_used_idempotency_key_is_a_conflict(served: Served) -> None:
    await served.call("POST", "", GOOD, Idempotency_Key="k")

    reply = await served.call("POST", "", GOOD | {"app_id": "other"}, Idempotency_Key="k")

    assert reply.status_code == 409
    assert details(reply) == [(["header", "Idempotency-Key"], "conflict")]
    assert len(await served.find()) == 1


async def test_an_ambiguous_id_is_a_conflict_at_its_field_that_tells_the_candidates(served: Served) -> None:
    await served.store.append([exchange("twice", "trace-1"), exchange("twice", "trace-2")])

    refused = await served.call("POST", "", GOOD | {"trace_id": "twice"})

    assert refused.status_code == 409
    assert details(refused) == [(["body", "trace_id"], "ambiguous")]
    message = refused.json()["detail"][0]["msg"]
    assert "request 'twice' in trace 'trace-2'; request 'twice' in trace 'trace-1'." in message
    assert await served.find() == []
