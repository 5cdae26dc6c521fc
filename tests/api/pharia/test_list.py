"""Listing entries: by what they are found, in which order, and how many are too many."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gateway import __version__
from gateway.models.feedback import Feedback
from gateway.models.ids import new_id

from .served import Served, details

DAY_US = 24 * 60 * 60 * 1_000_000


async def put(served: Served, created_at_us: int, **fields: str) -> str:
    """Store an entry that was created then."""
    entry = Feedback(
        feedback_id=new_id(),
        subject_id="trace-1",
        trace_id="trace-1",
        dialect="pharia",
        raw='{"trace_id":"trace-1","feedback":{}}',
        created_at_us=created_at_us,
        updated_at_us=created_at_us,
    )
    await served.store.put_feedback([replace(entry, **fields)])  # type: ignore[arg-type]
    return entry.feedback_id


async def test_an_entry_is_shown_in_the_dialects_words(served: Served) -> None:
    feedback_id = await served.give({"a": 1}, app_id="shop", app_version="2", user="ann", metadata={"b": 2})

    entry = await served.show(feedback_id)

    assert entry == {
        "feedback_id": feedback_id,
        "trace_id": "trace-1",
        "app_id": "shop",
        "creation_date": entry["creation_date"],
        "api_version": f"v{__version__}",
        "ui_version": f"v{__version__}",
        "app_version": "2",
        "feedback": {"a": 1},
        "user": "ann",
        "metadata": {"b": 2},
        "created_at": entry["created_at"],
        "updated_at": entry["created_at"],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", entry["creation_date"])
    assert entry["created_at"] == entry["creation_date"] + "Z"
    assert list(entry)[:8] == [
        "feedback_id", "trace_id", "app_id", "creation_date", "api_version", "ui_version", "app_version",
        "feedback",
    ]  # fmt: skip


async def test_a_date_of_whole_seconds_has_six_digits_too(served: Served) -> None:
    await put(served, 3 * DAY_US)

    [entry] = await served.find()
    assert entry["creation_date"] == "1970-01-04T00:00:00.000000"


async def test_versions_that_the_caller_sent_are_shown_as_it_sent_them(served: Served) -> None:
    feedback_id = await served.give(api_version="v1.4.0", ui_version="2024.1")
    await served.change(feedback_id, feedback={"rating": 2})

    entry = await served.show(feedback_id)

    assert (entry["api_version"], entry["ui_version"]) == ("v1.4.0", "2024.1")


async def test_each_filter_finds_its_own_and_all_must_hold(served: Served) -> None:
    here = await served.give(trace_id="trace/1 +é", app_id="here")
    there = await served.give(trace_id="trace-2", app_id="there")

    async def found(query: str) -> list[str]:
        return [entry["feedback_id"] for entry in await served.find(query)]

    assert await found("trace_id=trace/1%20%2B%C3%A9") == [here]
    assert await found("app_id=there") == [there]
    assert await found(f"feedback_id={here.upper()}") == [here]
    assert await found("app_id=here&trace_id=trace-2") == []
    assert await found(f"feedback_id={new_id()}") == []
    assert await found("trace_id=nobody") == []
    assert await found("trace_id=%00%ED%A0%80") == []
    assert await found("") == [here, there]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("start_time=1970-01-02", [1, 2]),
        ("start_time=1970-01-02T00:00:00.000001Z", [2]),
        ("end_time=1970-01-02", [0]),
        ("end_time=1970-01-02T00:00:00.000001Z", [0, 1]),
        ("start_time=1970-01-02T01:00:00%2B01:00&end_time=1970-01-03t00:00:00z", [1]),
        ("start_time=1970-01-03&end_time=1970-01-02", []),
        ("start_time=1970-01-02T00:00:00", [1, 2]),
        ("start_time=1970-01-02T00:00", [1, 2]),
        ("start_time=1970-01-02T00:00:00.000001", [2]),
        ("end_time=1970-01-02T00:00:00.5", [0, 1]),
        ("start_time=1970-01-01T23:59:59.999999&end_time=1970-01-02T23:59:59", [1]),
        ("start_time=1970-01-01T19:00:00-05:00&end_time=1970-01-02T12:00:00", [1]),
    ],
)
async def test_start_is_included_and_end_is_not(served: Served, query: str, found: list[int]) -> None:
    ids = [await put(served, day * DAY_US) for day in range(3)]

    assert [entry["feedback_id"] for entry in await served.find(query)] == [ids[day] for day in found]


async def test_entries_come_oldest_first_whatever_the_order_in_which_they_were_stored(served: Served) -> None:
    later, earlier = await put(served, 2), await put(served, 1)

    assert [entry["feedback_id"] for entry in await served.find()] == [earlier, later]


async def test_more_entries_than_the_limit_are_refused_and_not_cut(served: Served) -> None:
    for number in range(3):
        await put(served, number)

    refused = await served.call("GET", "?limit=2", by="admin")

    assert refused.status_code == 413
    assert details(refused) == [(["query", "limit"], "too_large")]
    assert refused.json()["detail"][0]["msg"].startswith("Too many results")
    assert len(await served.find("limit=3")) == 3
    assert len(await served.find("limit=2&end_time=1970-01-01T00:00:00.000002Z")) == 2


async def test_a_thousand_entries_are_listed_and_one_more_is_too_many_unless_asked_for(
    served: Served,
) -> None:
    entry = await served.stored(await put(served, 0))
    await served.store.put_feedback([replace(entry, feedback_id=new_id()) for _ in range(999)])
    assert len(await served.find()) == 1000

    await put(served, 1)

    assert (await served.call("GET", "", by="admin")).status_code == 413
    assert len(await served.find("limit=10000")) == 1001


async def test_no_cache_keeps_what_was_listed(served: Served) -> None:
    assert (await served.call("GET", "", by="admin")).headers["Cache-Control"] == "no-store"


async def test_feedback_given_in_portkeys_dialect_is_listed_with_value_and_weight(served: Served) -> None:
    body = {"trace_id": "trace-1", "value": 5, "weight": 0.5, "metadata": {"_user": "ann"}}
    given = await served.portkey("POST", "", body)

    entry = await served.show(given.json()["feedback_ids"][0])

    assert entry["feedback"] == {"value": 5, "weight": 0.5}
    assert (entry["trace_id"], entry["user"], entry["metadata"]) == ("trace-1", "ann", {"_user": "ann"})


async def test_feedback_given_here_can_be_changed_in_portkeys_dialect(served: Served) -> None:
    feedback_id = await served.give({"rating": 2, "comment": "hm", "colour": "red"}, app_id="shop")

    changed = await served.portkey("PUT", f"/{feedback_id}", {"value": 9})

    assert changed.status_code == 200
    entry = await served.show(feedback_id)
    assert entry["feedback"] == {"value": 9, "weight": 1, "comment": "hm"}
    assert entry["app_id"] == "shop"
    stored = await served.stored(feedback_id)
    assert (stored.value, stored.score) == (9, 0.9)
