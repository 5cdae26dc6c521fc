"""Ratings, scores and properties: the last one stands, whoever else speaks and whatever comes first."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from gateway.feedback.identifiers import feedback_key_id
from gateway.models.feedback import Kind, Source, Target
from gateway.models.ids import new_id
from gateway.models.request import Facts

from .served import DONE, NOT_FOUND, Served, complaint


def id_made_seconds_ago(seconds: int) -> str:
    millis = time.time_ns() // 1_000_000 - seconds * 1000
    fresh = new_id().replace("-", "")
    text = f"{millis:012x}{fresh[12:]}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@pytest.mark.parametrize(("rating", "value"), [(True, 1.0), (False, -1.0)])
async def test_a_rating_becomes_a_thumb_on_the_request(served: Served, rating: bool, value: float) -> None:
    await served.log("request-1")

    await served.rate("request-1", rating, "voter", Helicone_User_Id="ann")

    [entry] = await served.entries()
    assert (entry.kind, entry.metric, entry.value, entry.score) == (Kind.THUMB, "rating", value, value)
    assert (entry.target, entry.subject_id, entry.request_id) == (Target.REQUEST, "request-1", "request-1")
    assert (entry.author, entry.source, entry.dialect) == ("ann", Source.HUMAN, "helicone")
    assert (entry.key_name, json.loads(entry.raw)) == ("voter", {"rating": rating})
    assert entry.joined_at_us is not None


async def test_the_last_rating_stands_and_the_earlier_ones_are_history(served: Served) -> None:
    await served.log("request-1")
    for rating in (True, False, True, False):
        await served.rate("request-1", rating)
        assert (await served.row("request-1"))["feedback_rating"] is rating

    [entry] = await served.entries()
    history = await served.store.history(entry.feedback_id)
    assert [version.value for version in history] == [1, -1, 1, -1]
    assert {version.created_at_us for version in history} == {entry.created_at_us}


async def test_each_rating_is_in_queries_as_soon_as_it_is_answered(served: Served) -> None:
    await served.log("request-1")
    await served.log("request-2")
    for rating in (True, False, False, True):
        await served.rate("request-1", rating)
        [row] = await served.query({"feedback": {"rating": {"equals": rating}}})
        assert (row["request_id"], row["feedback_rating"]) == ("request-1", rating)
        assert await served.ids({"feedback": {"rating": {"equals": not rating}}}) == []
        assert await served.ids({"feedback": {"rating": {"equals": None}}}) == ["request-2"]


async def test_each_author_has_a_rating_and_the_last_of_all_is_shown(served: Served) -> None:
    await served.log("request-1")
    await served.rate("request-1", True, Helicone_User_Id="ann")
    await served.rate("request-1", False, Helicone_User_Id="bob")
    await served.rate("request-1", False)
    await served.rate("request-1", True, Helicone_User_Id="ann")

    assert {entry.author: entry.value for entry in await served.entries()} == {"ann": 1, "bob": -1, None: -1}
    row = await served.row("request-1")
    assert row["feedback_rating"] is True
    assert row["feedback_id"] == feedback_key_id(None, ("trace-1", "request-1"), "ann", "rating")


async def test_twenty_ratings_at_once_are_one_entry_with_twenty_versions(served: Served) -> None:
    await served.log("request-1")

    await asyncio.gather(*(served.rate("request-1", n % 2 == 0) for n in range(20)))

    [entry] = await served.entries()
    history = await served.store.history(entry.feedback_id)
    assert [version.version for version in history] == list(range(1, 21))
    assert sorted(version.value or 0 for version in history) == [-1] * 10 + [1] * 10
    last = history[-1].value == 1
    assert (await served.row("request-1"))["feedback_rating"] is last


async def test_a_rating_before_its_request_is_joined_when_the_request_appears(served: Served) -> None:
    await served.rate("request-1", True)
    await served.rate("request-1", False)
    assert (await served.call("GET", "/request-1")).json() == NOT_FOUND

    await served.log("request-1")

    row = await served.row("request-1")
    assert row["feedback_rating"] is False
    assert await served.ids({"feedback": {"rating": {"equals": False}}}) == ["request-1"]


async def test_an_id_that_is_also_a_trace_still_names_the_request(served: Served) -> None:
    await served.log("same", trace_id="same")
    await served.log("other", trace_id="same")

    await served.rate("same", True)

    assert (await served.row("same"))["feedback_rating"] is True
    assert (await served.row("other"))["feedback_rating"] is None


async def test_a_request_may_be_named_by_its_providers_response_id(served: Served) -> None:
    await served.log("request-1", Facts(response_id="chatcmpl-9"))

    await served.rate("chatcmpl-9", True)

    assert (await served.row("chatcmpl-9"))["feedback_rating"] is True
    assert (await served.row("request-1"))["feedback_rating"] is True


async def test_an_id_that_is_too_old_to_be_waited_for_is_not_found(served: Served) -> None:
    gone, recent = id_made_seconds_ago(3700), id_made_seconds_ago(3500)

    refused = await served.call("POST", f"/{gone}/feedback", {"rating": True})
    scored = await served.call("POST", f"/{gone}/score", {"scores": {"a": 1}})

    assert (refused.status_code, refused.json()) == (404, NOT_FOUND)
    assert (scored.status_code, scored.json()) == (404, NOT_FOUND)
    await served.rate(recent, True)
    assert [entry.subject_id for entry in await served.entries()] == [recent]


async def test_an_old_id_is_taken_once_it_is_logged_but_not_where_it_names_a_trace(served: Served) -> None:
    request_id, trace_id = id_made_seconds_ago(9000), id_made_seconds_ago(9000)
    await served.log(request_id, trace_id=trace_id, tenant="north")

    await served.rate(request_id, True)
    await served.rate(request_id, False, "north")
    refused = await served.call("POST", f"/{trace_id}/feedback", {"rating": True})
    foreign = await served.call("POST", f"/{request_id}/feedback", {"rating": True}, "south")

    assert (refused.status_code, foreign.status_code) == (404, 404)
    assert (await served.row(request_id))["feedback_rating"] is False


async def test_tenants_rate_apart_even_where_they_share_an_id(served: Served) -> None:
    await served.log("shared", tenant="north")
    await served.log("shared", tenant="south")
    await served.rate("shared", True, "north")
    await served.rate("shared", False, "south")

    assert (await served.row("shared", "north"))["feedback_rating"] is True
    assert (await served.row("shared", "south"))["feedback_rating"] is False


async def test_the_place_of_an_entry_that_another_tenant_took_is_a_conflict(served: Served) -> None:
    await served.rate("request-1", True, "north")
    [entry] = await served.entries()
    squatter = replace(
        entry,
        feedback_id=feedback_key_id("south", "request-1", None, "rating"),
        created_at_us=1,
        updated_at_us=1,
    )
    await served.store.put_feedback([squatter])

    refused = await served.call("POST", "/request-1/feedback", {"rating": True}, "south")

    assert refused.status_code == 409
    assert "another entry" in complaint(refused)


SCORES = {
    "true": (True, 1.0, 1.0),
    "false": (False, 0.0, -1.0),
    "half": (0.5, 0.5, 0.5),
    "zero": (0, 0.0, 0.0),
    "one": (-1, -1.0, -1.0),
    "grade": (87, 87.0, None),
    "a name with spaces, é and .": (1e300, 1e300, None),
}


async def test_scores_keep_their_values_and_count_where_they_are_on_our_scale(served: Served) -> None:
    await served.log("request-1")

    await served.score("request-1", **{name: sent for name, (sent, _, _) in SCORES.items()})

    entries = {entry.metric: entry for entry in await served.entries()}
    assert {name: (entry.value, entry.score) for name, entry in entries.items()} == {
        name: (value, score) for name, (_, value, score) in SCORES.items()
    }
    assert {(entry.kind, entry.source) for entry in entries.values()} == {(Kind.SCORE, Source.CODE)}
    assert (await served.row("request-1"))["scores"] == {
        name: value for name, (_, value, _) in SCORES.items()
    }


async def test_a_score_given_again_replaces_its_own_and_no_other(served: Served) -> None:
    await served.log("request-1")
    await served.score("request-1", a=1, b=2)
    await served.score("request-1", a=3, c=True)

    assert (await served.row("request-1"))["scores"] == {"a": 3, "b": 2, "c": 1}
    assert len(await served.entries()) == 3


async def test_a_score_is_no_rating(served: Served) -> None:
    await served.log("request-1")
    await served.score("request-1", rating=True)

    assert (await served.row("request-1"))["feedback_rating"] is None


async def test_a_property_is_set_on_the_request_and_searched_by_at_once(served: Served) -> None:
    await served.log("request-1", metadata={"plan": "free", "n": 1})

    for value in ("pro", "team"):
        reply = await served.call("PUT", "/request-1/property", {"key": "plan", "value": value}, "voter")
        assert (reply.status_code, reply.json()) == (200, DONE)

    row = await served.row("request-1")
    assert row["properties"] == row["request_properties"] == {"plan": "team", "n": "1"}
    assert await served.ids({"properties": {"plan": {"equals": "team"}}}) == ["request-1"]
    assert await served.ids({"properties": {"plan": {"equals": "free"}}}) == []


async def test_a_property_in_another_case_replaces_it_and_is_found_in_any(served: Served) -> None:
    await served.log("a", metadata={"Plan": "free"})

    reply = await served.call("PUT", "/a/property", {"key": "PLAN", "value": "pro"})

    assert reply.json() == DONE
    assert (await served.row("a"))["properties"] == {"PLAN": "pro"}
    for name in ("plan", "Plan", "PLAN"):
        leaf = {name: {"equals": "pro"}}
        assert await served.ids({"properties": leaf}) == ["a"], name
        assert await served.ids({"request_response_rmt": {"properties": leaf}}) == ["a"], name
        assert await served.ids({"request_response_rmt": {"property_key": {"equals": name}}}) == ["a"], name
        assert await served.ids(sort={"properties": {name: "asc"}}) == ["a"], name


async def test_properties_that_have_a_column_set_it(served: Served) -> None:
    await served.log("request-1", metadata={"_user": "ann"})
    for key in ("_user", "_prompt"):
        await served.call("PUT", "/request-1/property", {"key": key, "value": f"new {key}"})

    row = await served.row("request-1")
    assert (row["request_user_id"], row["prompt_id"]) == ("new _user", "new _prompt")
    assert await served.ids({"request": {"user_id": {"equals": "new _user"}}}) == ["request-1"]


async def test_a_property_reaches_no_other_tenants_row(served: Served) -> None:
    await served.log("shared", tenant="north")
    await served.log("shared", tenant="south")
    body = {"key": "k", "value": "v"}

    assert (await served.call("PUT", "/shared/property", body, "north")).status_code == 200

    assert (await served.row("shared", "north"))["properties"] == {"k": "v"}
    assert (await served.row("shared", "south"))["properties"] == {}
    await served.log("only-south", tenant="south")
    foreign = await served.call("PUT", "/only-south/property", body, "north")
    assert (foreign.status_code, foreign.json()) == (404, NOT_FOUND)


async def test_a_property_of_an_unknown_request_is_not_found(served: Served) -> None:
    reply = await served.call("PUT", "/nobody/property", {"key": "k", "value": "v"})

    assert (reply.status_code, reply.json()) == (404, NOT_FOUND)


async def test_properties_that_would_grow_without_end_are_refused(served: Served) -> None:
    await served.log("request-1")
    statuses = [
        (await served.call("PUT", "/request-1/property", {"key": f"k{n}", "value": "x" * 60_000})).status_code
        for n in range(6)
    ]

    assert statuses == [200, 200, 200, 200, 400, 400]
    assert set((await served.row("request-1"))["properties"]) == {"k0", "k1", "k2", "k3"}
