"""Ids that several requests share: refused on every path with an id, and each request reached by its own."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.models.request import Facts

from .served import DONE, Served, complaint

CALLS: dict[str, tuple[str, str, Any]] = {
    "rating": ("POST", "/feedback", {"rating": True}),
    "scores": ("POST", "/score", {"scores": {"a": 1, "b": 2}}),
    "property": ("PUT", "/property", {"key": "plan", "value": "pro"}),
    "reading": ("GET", "", None),
}


@pytest.mark.parametrize("any_id", ["same", "chatcmpl-x"])
@pytest.mark.parametrize(("method", "path", "body"), CALLS.values(), ids=CALLS)
async def test_an_id_of_several_requests_is_refused_with_the_candidates(
    served: Served, method: str, path: str, body: object, any_id: str
) -> None:
    for number in (1, 2):
        await served.log("same", Facts(response_id=f"chatcmpl-{number}"), trace_id=f"trace-{number}")
        await served.log(f"own-{number}", Facts(response_id="chatcmpl-x"), trace_id=f"trace-{number}")

    refused = await served.call(method, f"/{any_id}{path}", body)

    assert refused.status_code == 409
    message = complaint(refused)
    assert f"'{any_id}' names several requests" in message
    for number in (1, 2):
        request_id = "same" if any_id == "same" else f"own-{number}"
        assert f"request '{request_id}' in trace 'trace-{number}', response" in message
    assert await served.entries() == []
    assert [row["properties"] for row in await served.query()] == [{}] * 4


@pytest.mark.parametrize(("method", "path", "body"), CALLS.values(), ids=CALLS)
async def test_an_id_of_its_own_reaches_the_one_of_them(
    served: Served, method: str, path: str, body: object
) -> None:
    for number in (1, 2):
        await served.log("same", Facts(response_id=f"chatcmpl-{number}"), trace_id=f"trace-{number}")

    reply = await served.call(method, f"/chatcmpl-1{path}", body)

    assert reply.status_code == 200
    if method == "GET":
        assert reply.json()["data"]["response_id"] == "chatcmpl-1"
    else:
        assert reply.json() == DONE
        rows = {row["response_id"]: row for row in await served.query()}
        assert rows["chatcmpl-2"]["feedback_rating"] is None
        assert rows["chatcmpl-2"]["scores"] == rows["chatcmpl-2"]["properties"] == {}


async def test_a_tenant_is_not_told_of_others_that_use_its_id(served: Served) -> None:
    await served.log("shared", tenant="north", trace_id="norths trace")
    await served.log("shared", tenant="south", trace_id="souths trace")

    assert (await served.row("shared", "north"))["request_id"] == "shared"
    await served.rate("shared", True, "north")
    refused = await served.call("GET", "/shared")

    assert refused.status_code == 409
    assert "of tenant 'south'; request 'shared' in trace 'norths trace' of tenant 'north'" in complaint(
        refused
    )


async def test_one_rating_stands_by_whatever_id_and_key_it_was_given(served: Served) -> None:
    await served.log("request-1", Facts(response_id="chatcmpl-1"), tenant="north")
    for any_id, key, rating in (
        ("request-1", "north", True),
        ("chatcmpl-1", None, True),
        ("chatcmpl-1", "north", True),
        ("request-1", None, False),
    ):
        await served.rate(any_id, rating, key, Helicone_User_Id="ann")

    [entry] = await served.entries()
    assert (entry.version, entry.tenant) == (4, "north")
    assert (await served.row("request-1", "north"))["feedback_rating"] is False
