"""What Portkey's callers may rely on when all is well."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest
from portkey_ai import AsyncPortkey

from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.feedback import Kind, Source, Target
from gateway.models.ids import new_id

from .served import GOOD, Served, complaint


async def test_feedback_is_answered_with_its_id_and_kept_as_it_was_sent(served: Served) -> None:
    sent = {
        "trace_id": "trace-1",
        "value": -7,
        "weight": 0.1,
        "metadata": {"_user": "ann", "n": [1, 2.5, None]},
    }

    reply = await served.post(sent)

    assert reply.status_code == 200
    assert reply.json() == {
        "status": "success",
        "message": "Feedback successfully saved. Nothing is logged yet under 'trace-1', so this feedback "
        "waits for it.",
        "feedback_ids": reply.json()["feedback_ids"],
    }
    [entry] = await served.entries()
    assert [entry.feedback_id] == reply.json()["feedback_ids"]
    assert UUID(entry.feedback_id).version == 7
    assert (entry.subject_id, entry.target, entry.trace_id) == ("trace-1", Target.TRACE, "trace-1")
    assert (entry.value, entry.weight, entry.score) == (-7, 0.1, -0.7)
    assert entry.metadata == sent["metadata"]
    assert json.loads(entry.raw) == sent
    assert (entry.author, entry.dialect, entry.key_name) == ("ann", "portkey", "app")
    assert (entry.kind, entry.source) == (Kind.RATING, Source.HUMAN)


@pytest.mark.parametrize("value", range(-10, 11))
async def test_every_value_of_the_range_is_taken(served: Served, value: int) -> None:
    entry = await served.give({"trace_id": "t", "value": value})

    assert (entry.value, entry.score) == (value, value / 10)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [({}, 1), ({"weight": None}, 1), ({"weight": 0}, 0), ({"weight": 1}, 1), ({"weight": 1e-9}, 1e-9)],
)
async def test_a_weight_is_kept_and_missing_it_is_one(
    served: Served, sent: dict[str, object], kept: float
) -> None:
    assert (await served.give(GOOD | sent)).weight == kept


async def test_a_float_with_no_fraction_is_an_integer(served: Served) -> None:
    assert (await served.give(b'{"trace_id":"t","value":5.0}')).value == 5
    assert (await served.give(b'{"trace_id":"t","value":-1e1}')).value == -10


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (None, {}),
        ({}, {}),
        ("{}", {}),
        ('{"a": [1, {"b": 1.5}], "c": null}', {"a": [1, {"b": 1.5}], "c": None}),
        ({"a": 'é\U0001f600\n\t"\\', "": 0, "big": 2**64 - 1, "low": -(2**63)}, None),
        ({"text": "x" * 65_000}, None),
    ],
)
async def test_metadata_may_be_an_object_or_a_string_that_holds_one(
    served: Served, sent: object, kept: object
) -> None:
    entry = await served.give(GOOD | {"metadata": sent})

    assert entry.metadata == (sent if kept is None else kept)


@pytest.mark.parametrize("user", ["", 5, None, ["ann"]])
async def test_a_user_that_is_no_text_is_no_author(served: Served, user: object) -> None:
    entry = await served.give(GOOD | {"metadata": {"_user": user}})

    assert (entry.author, entry.metadata) == (None, {"_user": user})


async def test_unknown_fields_are_kept_with_the_entry_and_mean_nothing(served: Served) -> None:
    entry = await served.give(GOOD | {"score": 99, "kind": "edit", "tenant": "north"})

    assert json.loads(entry.raw) == GOOD | {"score": 99, "kind": "edit", "tenant": "north"}
    assert (entry.score, entry.kind, entry.tenant) == (0.5, Kind.RATING, None)


async def test_the_longest_trace_id_is_kept_whole(served: Served) -> None:
    trace_id = "é" * 256
    assert (await served.give(GOOD | {"trace_id": trace_id})).trace_id == trace_id


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""]
)
async def test_json_is_taken_whatever_its_content_type_says(served: Served, content_type: str) -> None:
    assert (await served.give(GOOD, Content_Type=content_type)).value == 5


async def test_a_trailing_slash_is_taken(served: Served) -> None:
    made = await served.client.post("/feedback/", json=GOOD)
    [feedback_id] = made.json()["feedback_ids"]
    changed = await served.client.put(f"/feedback/{feedback_id}/", json={"value": 1})

    assert (made.status_code, changed.status_code) == (200, 200)


async def test_a_bulk_is_stored_whole_and_answered_in_its_order(served: Served) -> None:
    sent = [{"trace_id": f"trace-{n % 7}", "value": n % 21 - 10, "metadata": {"n": n}} for n in range(1000)]

    reply = await served.post(sent)

    assert reply.status_code == 200
    entries = await served.store.feedback_by_ids(reply.json()["feedback_ids"])
    assert [json.loads(entry.raw) for entry in entries] == sent
    assert len(await served.entries()) == 1000


async def test_feedback_before_its_request_is_joined_when_the_request_appears(served: Served) -> None:
    waiting = await served.give()
    assert waiting.joined_at_us is None

    await served.store.append(
        [
            Exchange(
                identity=Identity(request_id="request-1", trace_id="trace-1"),
                provider="openai",
                endpoint="chat.completions",
                method="POST",
                path="/v1/chat/completions",
                started_at_us=1,
                ended_at_us=2,
                outcome=Outcome.COMPLETE,
            )
        ]
    )

    [joined] = await served.store.feedback_by_ids([waiting.feedback_id])
    assert joined.joined_at_us is not None
    about_request = await served.give(GOOD | {"trace_id": "request-1"})
    assert (about_request.target, about_request.trace_id) == (Target.REQUEST, "trace-1")


async def test_the_callers_scale_makes_the_score(served: Served) -> None:
    def scored(value: int) -> dict[str, object]:
        return {"trace_id": "t", "value": value}

    up, down, grade = [await served.give(scored(n), x_portkey_api_key="thumbs-key") for n in (1, 0, 7)]

    assert [(entry.value, entry.score) for entry in (up, down, grade)] == [(1, 1.0), (0, -1.0), (7, 1.0)]
    assert (await served.give(scored(0))).score == 0.0
    await served.put(grade.feedback_id, {"value": -3}, x_portkey_api_key="thumbs-key")
    [revised] = await served.store.feedback_by_ids([grade.feedback_id])
    assert (revised.value, revised.score) == (-3, -1.0)


async def test_a_put_changes_the_entry_and_keeps_the_earlier_version(served: Served) -> None:
    entry = await served.give(GOOD | {"weight": 0.5, "metadata": {"_user": "ann", "a": 1}})

    reply = await served.put(entry.feedback_id, {"value": -2, "weight": 0.25, "metadata": {"b": 2}})

    assert reply.status_code == 200
    assert reply.json() == {
        "status": "success",
        "message": "Feedback successfully updated",
        "feedback_ids": [entry.feedback_id],
    }
    first, second = await served.store.history(entry.feedback_id)
    assert first == entry
    assert (second.value, second.score, second.weight) == (-2, -0.2, 0.25)
    assert (second.metadata, second.author) == ({"b": 2}, "ann")
    assert json.loads(second.raw) == {"value": -2, "weight": 0.25, "metadata": {"b": 2}}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"value": 0}, (0, 0.5, {"a": 1})),
        ({"weight": 0}, (5, 0, {"a": 1})),
        ({"metadata": {}}, (5, 0.5, {})),
        ({"metadata": '{"b":2}'}, (5, 0.5, {"b": 2})),
        ({"value": 1, "weight": None, "metadata": None, "feedbackID": "x"}, (1, 0.5, {"a": 1})),
    ],
)
async def test_a_put_leaves_alone_what_it_does_not_name(
    served: Served, sent: dict[str, object], kept: tuple[object, ...]
) -> None:
    entry = await served.give(GOOD | {"weight": 0.5, "metadata": {"a": 1}})

    await served.put(entry.feedback_id, sent)

    _, second = await served.store.history(entry.feedback_id)
    assert (second.value, second.weight, second.metadata) == kept


async def test_puts_at_the_same_time_each_become_a_version(served: Served) -> None:
    entry = await served.give()

    replies = await asyncio.gather(*(served.put(entry.feedback_id, {"value": n}) for n in range(-10, 11)))

    assert {reply.status_code for reply in replies} == {200}
    history = await served.store.history(entry.feedback_id)
    assert [version.version for version in history] == list(range(1, 23))
    assert sorted(version.value or 0 for version in history[1:]) == list(range(-10, 11))


async def test_an_entrys_id_is_found_in_either_case(served: Served) -> None:
    entry = await served.give()

    assert (await served.put(entry.feedback_id.upper(), {"value": 1})).status_code == 200


async def test_a_retry_under_an_idempotency_key_gets_the_same_reply(served: Served) -> None:
    bulk = [GOOD, GOOD | {"value": -5}]
    first, again = [await served.post(bulk, Idempotency_Key="k" * 255) for _ in range(2)]

    assert first.status_code == 200
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(await served.entries()) == 2


async def test_twenty_equal_calls_at_once_make_one_entry(served: Served) -> None:
    replies = await asyncio.gather(*(served.post(GOOD, Idempotency_Key="k") for _ in range(20)))

    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert len(await served.entries()) == 1


async def test_a_retried_put_under_an_idempotency_key_makes_one_version(served: Served) -> None:
    entry = await served.give()
    first, again = [await served.put(entry.feedback_id, {"value": 1}, Idempotency_Key="k") for _ in range(2)]

    assert first.status_code == 200
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(await served.store.history(entry.feedback_id)) == 2


async def test_a_retry_with_the_same_id_gets_the_same_reply(served: Served) -> None:
    own = new_id()
    first = await served.post(GOOD | {"id": own})
    again = await served.post(GOOD | {"id": own})

    assert first.json()["feedback_ids"] == [own]
    assert (again.status_code, again.json()) == (200, first.json())
    assert [entry.feedback_id for entry in await served.entries()] == [own]


async def test_an_id_of_null_is_none_and_one_in_capitals_is_the_same(served: Served) -> None:
    assert UUID((await served.give(GOOD | {"id": None})).feedback_id).version == 7
    own = new_id()

    assert (await served.give(GOOD | {"id": own.upper()})).feedback_id == own


async def test_tenants_do_not_see_each_others_entries(served: Served) -> None:
    entry = await served.give(GOOD, x_portkey_api_key="north-key")

    assert entry.tenant == "north"
    foreign = await served.put(entry.feedback_id, {"value": 1}, x_portkey_api_key="south-key")
    assert foreign.status_code == 404
    assert entry.feedback_id in complaint(foreign)
    own = await served.put(entry.feedback_id, {"value": 1}, x_portkey_api_key="north-key")
    assert own.status_code == 200


async def test_the_sdk_gives_one_entry_and_many_and_changes_one(served: Served) -> None:
    portkey = AsyncPortkey(api_key="app-key", base_url=served.url)

    one = await portkey.feedback.create(trace_id="trace-1", value=5, weight=0.5, metadata={"_user": "ann"})
    many = await portkey.feedback.bulk_create(
        feedbacks=[{"trace_id": "trace-1", "value": 1}, {"trace_id": "trace-2", "value": 0, "weight": 0}]
    )
    assert one.feedback_ids is not None
    changed = await portkey.feedback.update(feedback_id=one.feedback_ids[0], value=-5)
    await portkey.close()

    assert (one.status, many.status, changed.status) == ("success", "success", "success")
    assert changed.feedback_ids == one.feedback_ids
    entries = await served.store.feedback_by_ids([*one.feedback_ids, *(many.feedback_ids or [])])
    assert [(entry.subject_id, entry.value, entry.weight, entry.version) for entry in entries] == [
        ("trace-1", -5, 0.5, 2),
        ("trace-1", 1, 1, 1),
        ("trace-2", 0, 0, 1),
    ]
    assert entries[0].author == "ann"
