"""What a caller may get wrong: each a 4xx that names what is to blame, stores nothing and spoils nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.api.helicone.filters import to_filter
from gateway.errors import BadInput
from gateway.models.filters import MAX_FILTER_TERMS

from .served import Served, complaint

MIB = 1024 * 1024
R = "request_response_rmt"

BAD_RATINGS = {
    b"": "body: is empty",
    b"{": "body: is not valid JSON",
    b"\x00": "body: is not valid JSON",
    b"{}": "rating: is missing",
    b"[]": "must be an object",
    b"5": "must be an object",
    b'{"rating": 1}': "rating: ",
    b'{"rating": "true"}': "rating: ",
    b'{"rating": null}': "rating: ",
    b'{"rating": NaN}': "rating: must be a finite number",
    b'{"rating": true, "a": "\\ud800"}': "a: holds half of a surrogate pair",
    b'{"rating": true, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}": "nested more than 64 levels",
}

BAD_SCORES = {
    b"{}": "scores: is missing",
    b'{"scores": {}}': "scores: ",
    b'{"scores": [1]}': "scores: must be an object",
    b'{"scores": {"a": "1"}}': "scores.a: must be a number, true or false",
    b'{"scores": {"a": null}}': "scores.a: must be a number, true or false",
    b'{"scores": {"a": 1, "b": []}}': "scores.b: must be a number, true or false",
    b'{"scores": {"a": 1e999}}': "scores.a: must be a finite number",
    b'{"scores": {"": 1}}': "must be a printable string",
    b'{"scores": {"a\\u0000": 1}}': "must be a printable string",
    b'{"scores": {"' + b"x" * 513 + b'": 1}}': "must be a printable string",
    json.dumps({"scores": {f"n{n}": 1 for n in range(1001)}}).encode(): "scores: ",
}

BAD_PROPERTIES = {
    b"{}": "key: is missing",
    b'{"key": "k"}': "value: is missing",
    b'{"key": "", "value": "v"}': "key: must be a printable string",
    b'{"key": "k\\u0000", "value": "v"}': "key: must be a printable string",
    b'{"key": 5, "value": "v"}': "key: must be a printable string",
    b'{"key": "k", "value": 5}': "value: must be a string",
    b'{"key": "k", "value": "a\\u0000"}': "value: must be a string",
    b'{"key": "k", "value": "\\udfff"}': "value: holds half of a surrogate pair",
    b'{"key": "k", "value": "' + b"x" * 10 * MIB + b'"}': "value: must be a string of at most 65,536",
}

BAD_FILTERS: dict[str, object] = {
    "filter: must be an object; got 5.": 5,
    'filter: must be an object; got "everything".': "everything",
    "filter.nonsense: is not a known table": {"nonsense": {}},
    "filter.request.nonsense: is not a known column": {"request": {"nonsense": {"equals": 1}}},
    "filter.request: must be an object": {"request": 5},
    "filter.request.id: must be an object": {"request": {"id": "x"}},
    "filter.request.id.gte: is not an operator": {"request": {"id": {"gte": "x"}}},
    "filter.request.id.equals: must be a string; got 5.": {"request": {"id": {"equals": 5}}},
    "filter.response.status.like: is not an operator": {"response": {"status": {"like": "2%"}}},
    'filter.response.status.gt: must be a number; got "200".': {"response": {"status": {"gt": "200"}}},
    "filter.response.status.equals: must be a number; got true": {"response": {"status": {"equals": True}}},
    "filter.feedback.rating.not-equals: is not an operator": {"feedback": {"rating": {"not-equals": True}}},
    "filter.feedback.rating.equals: must be true or false": {"feedback": {"rating": {"equals": 1}}},
    "filter.request.created_at.gte: must be a time": {"request": {"created_at": {"gte": "tuesday"}}},
    "filter.request.created_at.lt: must be a string": {"request": {"created_at": {"lt": 5}}},
    "filter.request.created_at.not-equals: is not an": {
        "request": {"created_at": {"not-equals": "2024-01-01"}}
    },
    "filter.request.prompt.gte: is not an operator": {"request": {"prompt": {"gte": "x"}}},
    f"filter.{R}.request_body.equals: must be a string": {R: {"request_body": {"equals": 5}}},
    f"filter.{R}.country_code.equals: cannot be filtered by: the country": {
        R: {"country_code": {"equals": "DE"}}
    },
    f"filter.{R}.target_url.like: cannot be filtered by: only the provider": {
        R: {"target_url": {"like": "x"}}
    },
    f"filter.{R}.cache_enabled.equals: cannot be filtered by": {R: {"cache_enabled": {"equals": True}}},
    "filter.values.name.equals: cannot be filtered by: inputs": {"values": {"name": {"equals": "x"}}},
    "filter.properties.plan: must be an object": {"properties": {"plan": "pro"}},
    "filter.properties.plan.gt: is not an operator": {"properties": {"plan": {"gt": "x"}}},
    f"filter.{R}.scores: must be an object": {R: {"scores": 5}},
    f"filter.{R}.scores.a.contains: is not an operator": {R: {"scores": {"a": {"contains": "x"}}}},
    f"filter.{R}.property_key.like: is not an operator": {R: {"property_key": {"like": "x"}}},
    f"filter.{R}.provider.like: must be at most 100": {R: {"provider": {"like": "%" * 101}}},
    "filter: must hold left, operator and right": {"left": "all", "operator": "and"},
    "filter.operator: must be": {"left": "all", "operator": "xor", "right": "all"},
    "filter.right.nope: is not a known table": {"left": "all", "operator": "or", "right": {"nope": {}}},
    "a pattern may have": {"request": {"path": {"contains": "x" * 2000}}},
    "64 bits": {R: {"cost": {"gt": 1e300}}},
}

BAD_QUERIES: dict[str, dict[str, object]] = {
    "limit: ": {"limit": 1001},
    "limit: input should be greater": {"limit": 0},
    "offset: ": {"offset": -1},
    "offset: input should be a valid integer": {"offset": "5"},
    "isCached: ": {"isCached": "yes"},
    "isScored: ": {"isScored": 1},
    "sort: must be an object that names what to sort by; got 5": {"sort": 5},
    "sort.nonsense: is not a column to sort by": {"sort": {"created_at": "asc", "nonsense": "asc"}},
    "sort.cache_created_at: cannot be sorted by": {"sort": {"cache_created_at": "asc"}},
    "sort.last_active: cannot be sorted by: it is about users": {"sort": {"last_active": "asc"}},
    "sort.values: cannot be sorted by: inputs of prompts": {"sort": {"values": {"a": "asc"}}},
    'sort.latency: must be "asc" or "desc"; got "up"': {"sort": {"created_at": "asc", "latency": "up"}},
    "sort.random: must be true": {"sort": {"random": False}},
    "sort.random: cannot be combined with other columns": {"sort": {"created_at": "asc", "random": True}},
    "sort.properties: must be an object that names": {"sort": {"properties": {}}},
    "sort.properties.b: must be": {"sort": {"properties": {"a": "asc", "b": 1}}},
    "sort: results can be sorted by 20 fields": {"sort": {"properties": {f"p{n}": "asc" for n in range(21)}}},
}


async def assert_refused(served: Served, method: str, path: str, body: object, message: str) -> None:
    reply = await served.call(method, path, body)

    assert reply.status_code == 400, reply.text
    assert message in complaint(reply)


@pytest.mark.parametrize(("body", "message"), BAD_RATINGS.items(), ids=range(len(BAD_RATINGS)))
async def test_a_bad_rating_is_refused(served: Served, body: bytes, message: str) -> None:
    await assert_refused(served, "POST", "/request-1/feedback", body, message)
    assert await served.entries() == []


@pytest.mark.parametrize(("body", "message"), BAD_SCORES.items(), ids=range(len(BAD_SCORES)))
async def test_bad_scores_are_refused_all_together(served: Served, body: bytes, message: str) -> None:
    await assert_refused(served, "POST", "/request-1/score", body, message)
    assert await served.entries() == []


@pytest.mark.parametrize(("body", "message"), BAD_PROPERTIES.items(), ids=range(len(BAD_PROPERTIES)))
async def test_a_bad_property_is_refused(served: Served, body: bytes, message: str) -> None:
    await served.log("request-1")
    await assert_refused(served, "PUT", "/request-1/property", body, message)
    assert (await served.row("request-1"))["properties"] == {}


@pytest.mark.parametrize(("message", "tree"), BAD_FILTERS.items(), ids=range(len(BAD_FILTERS)))
async def test_a_bad_filter_is_refused_by_name(served: Served, message: str, tree: object) -> None:
    await assert_refused(served, "POST", "/query", {"filter": tree}, message)


@pytest.mark.parametrize(("message", "body"), BAD_QUERIES.items(), ids=range(len(BAD_QUERIES)))
async def test_a_bad_query_is_refused(served: Served, message: str, body: dict[str, object]) -> None:
    await assert_refused(served, "POST", "/query-clickhouse", body, message)


async def test_a_filter_that_is_too_deep_or_too_wide_is_refused(served: Served) -> None:
    leaf = {"response": {"status": {"equals": 200}}}
    deep: object = leaf
    for level in range(50):
        deep = {"left": leaf, "operator": "and" if level % 2 else "or", "right": deep}
        if level == 14:
            assert await served.ids(deep) == []
    wide = {"properties": {f"p{n}": {"equals": "x"} for n in range(600)}}

    await assert_refused(served, "POST", "/query", {"filter": deep}, "levels deep")
    await assert_refused(served, "POST", "/query", {"filter": wide}, "500 conditions")
    for _ in range(50):
        deep = {"left": "all", "operator": "and", "right": deep}
    await assert_refused(served, "POST", "/query", {"filter": deep}, "nested more than 64 levels")


def test_a_tree_is_walked_no_further_than_a_filter_may_reach() -> None:
    walked = []

    class Leaf(dict[str, object]):
        def items(self) -> Any:
            walked.append(self)
            return super().items()

    tree: object = "all"
    level: list[object] = [Leaf({"response": {"status": {"equals": 200}}}) for _ in range(2**11)]
    while len(level) > 1:
        level = [
            {"left": left, "operator": "or", "right": right}
            for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    [tree] = level
    with pytest.raises(BadInput, match="500 conditions"):
        to_filter(tree)
    assert len(walked) == MAX_FILTER_TERMS + 1


async def test_as_many_conditions_as_a_filter_may_hold_fit_into_a_question(served: Served) -> None:
    long = {f"property-{n}": {"equals": "x" * 300} for n in range(MAX_FILTER_TERMS - 2)}
    assert await served.ids({"properties": long}) == []


async def test_a_body_that_is_too_long_is_refused(served: Served) -> None:
    for path, limit in (("/r/feedback", "16,777,216"), ("/r/score", "16,777,216"), ("/query", "262,144")):
        reply = await served.call("POST", path, b'"' + b"x" * 17 * MIB + b'"')
        assert reply.status_code == 413
        assert f"{limit} bytes" in complaint(reply)
    await served.rate("r", True)


async def test_ten_megabytes_of_anything_else_are_taken_with_a_rating(served: Served) -> None:
    await served.log("request-1")
    body = json.dumps({"rating": True, "more": "x" * 10 * MIB}).encode()

    assert (await served.call("POST", "/request-1/feedback", body)).status_code == 200
    assert (await served.row("request-1"))["feedback_rating"] is True


@pytest.mark.parametrize("request_id", ["%00", "a%09b", "x" * 513, "%C3%A9" * 257])
async def test_an_id_that_no_request_can_have_is_not_found(served: Served, request_id: str) -> None:
    for path, body in {"feedback": {"rating": True}, "score": {"scores": {"a": 1}}}.items():
        reply = await served.call("POST", f"/{request_id}/{path}", body)
        assert (reply.status_code, complaint(reply)) == (404, "Request not found")
    assert await served.entries() == []


@pytest.mark.parametrize("user", ["", "x" * 513, "a\tb"])
async def test_a_user_that_is_no_name_is_refused(served: Served, user: str) -> None:
    reply = await served.call("POST", "/r/feedback", {"rating": True}, Helicone_User_Id=user)

    assert reply.status_code == 400
    assert complaint(reply).startswith("Helicone-User-Id: ")


async def test_names_in_a_filter_are_values_never_sql(served: Served) -> None:
    await served.log("request-1", metadata={"k' OR 1=1 --": "v"})
    nasty = {"properties": {"k' OR 1=1 --": {"equals": "v"}}}
    missed = {R: {"scores": {"a') OR 1=1 --": {"gte": 0}}}}
    nul = {"properties": {"k\0": {"equals": "\0"}}}

    assert await served.ids(nasty) == ["request-1"]
    assert await served.ids(missed) == []
    assert await served.ids(nul) == []
    assert await served.ids(sort={"properties": {'"; DROP TABLE requests; --': "asc"}}) == ["request-1"]
