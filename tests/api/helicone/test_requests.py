"""Reading requests: what a row holds, who may ask, and what a filter and its companions mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.models.exchange import PayloadPolicy
from gateway.models.request import Cost, Facts, Usage

from .samples import Rows
from .served import NOT_FOUND, Served, complaint

FIELDS = [
    "response_id", "response_created_at", "response_body", "response_status", "response_model", "request_id",
    "request_created_at", "request_body", "request_path", "request_user_id", "request_properties",
    "request_model", "model_override", "helicone_user", "provider", "delay_ms", "time_to_first_token",
    "total_tokens", "prompt_tokens", "prompt_cache_write_tokens", "prompt_cache_read_tokens",
    "completion_tokens", "prompt_id", "feedback_created_at", "feedback_id", "feedback_rating",
    "signed_body_url", "llmSchema", "country_code", "asset_ids", "asset_urls", "scores", "costUSD",
    "properties", "assets", "target_url", "model", "cache_reference_id", "cache_enabled", "updated_at",
]  # fmt: skip

FACTS = Facts(
    requested_model="gpt-4o",
    model="gpt-4o-2024-08-06",
    usage=Usage(prompt_tokens=12, completion_tokens=30, cached_tokens=5, cache_write_tokens=1),
    cost=Cost(1_250_000, "1"),
    response_id="chatcmpl-1",
)

TAGS = {"_user": "ann", "_prompt": "hello", "_model": "azure-4o"}


async def test_a_row_has_every_field_of_the_contract(served: Served) -> None:
    await served.log("request-1", FACTS, metadata={**TAGS, "plan": "pro", "n": 5})

    [row] = await served.query()

    assert list(row) == FIELDS
    shown = {name: value for name, value in row.items() if value is not None}
    properties = {**TAGS, "plan": "pro", "n": "5"}
    assert shown == {
        "response_id": "chatcmpl-1",
        "response_created_at": "2023-11-14T22:13:20.250000Z",
        "response_body": {"id": "chatcmpl-1", "n": 1.5},
        "response_status": 200,
        "response_model": "gpt-4o-2024-08-06",
        "request_id": "request-1",
        "request_created_at": "2023-11-14T22:13:20.000000Z",
        "request_body": {"model": "gpt-4o", "messages": []},
        "request_path": "/v1/chat/completions",
        "request_user_id": "ann",
        "request_properties": properties,
        "request_model": "gpt-4o",
        "model_override": "azure-4o",
        "provider": "OPENAI",
        "delay_ms": 250,
        "time_to_first_token": 100,
        "total_tokens": 42,
        "prompt_tokens": 12,
        "prompt_cache_write_tokens": 1,
        "prompt_cache_read_tokens": 5,
        "completion_tokens": 30,
        "prompt_id": "hello",
        "scores": {},
        "costUSD": 0.00125,
        "properties": properties,
        "model": "azure-4o",
    }


async def test_a_request_of_which_little_is_known_has_every_field_too(served: Served) -> None:
    await served.log(
        "request-1", status=None, first_byte_at_us=None, provider="mine", payloads=PayloadPolicy.OFF
    )

    row = await served.row("request-1")

    assert list(row) == FIELDS
    assert row["provider"] == "CUSTOM"
    assert {name for name, value in row.items() if value not in (None, {})} == {
        "response_created_at", "request_id", "request_created_at", "request_path", "provider", "delay_ms",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/nobody", "/nobody?includeBody=true", "/query", "/%00", "/" + "x" * 513])
async def test_a_request_that_is_not_there_is_not_found(served: Served, path: str) -> None:
    reply = await served.call("GET", path)

    assert (reply.status_code, reply.json()) == (404, NOT_FOUND)


async def test_ten_requests_come_by_default_the_newest_first(served: Served) -> None:
    for number in range(12):
        await served.log(f"request-{number}", started_at_us=1_700_000_000_000_000 + number)

    assert await served.ids() == [f"request-{number}" for number in range(11, 1, -1)]
    assert await served.ids(offset=10) == ["request-1", "request-0"]
    assert await served.ids(offset=None, limit=None, sort=None, filter=None) == await served.ids()
    assert await served.ids(offset=12) == []


@pytest.mark.parametrize("path", ["/query", "/query-clickhouse", "/query/"])
async def test_every_path_of_the_query_answers_alike(served: Served, path: str) -> None:
    await served.log("request-1")

    assert [row["request_id"] for row in (await served.call("POST", path, {})).json()["data"]] == [
        "request-1"
    ]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"isCached": True}, 1),
        ({"isCached": False}, 2),
        ({"includeInputs": True}, 2),
        ({"isPartOfExperiment": True}, 0),
        ({"isPartOfExperiment": False}, 2),
        ({"isScored": None, "isCached": None}, 2),
        ({"unknown": 1}, 2),
    ],
)
async def test_the_companions_of_a_filter(served: Served, given: dict[str, Any], count: int) -> None:
    await served.log("request-1", cache_status="HIT")
    await served.log("request-2", cache_status="MISS")

    assert len(await served.query(**given)) == count


async def test_scored_requests_can_be_asked_for_and_left_out(served: Served, rows: Rows) -> None:
    scored = {row["request_id"] for row in rows if row["scores"]}

    assert set(await served.ids(isScored=True, limit=1000)) == scored
    assert set(await served.ids(isScored=False, limit=1000)) == {row["request_id"] for row in rows} - scored
    assert set(await served.ids(isScored=True, key="north", limit=1000)) == {
        request_id for request_id in scored if request_id.startswith("north")
    }


R = "request_response_rmt"
FOUND = {
    "the word all": "all",
    "nothing": {},
    "a table without columns": {"request": {}},
    "id": {"request": {"id": {"equals": "request-1"}}},
    "model asked for": {"request": {"model": {"equals": "gpt-4o"}}},
    "model that answered": {"response": {"model": {"like": "gpt-4o-%"}}},
    "model it is said to be": {"request": {"modelOverride": {"equals": "azure-4o"}}},
    "any model": {R: {"model": {"equals": "azure-4o"}}, "response": {"body_model": {"contains": "Azure"}}},
    "prompt": {"request": {"prompt": {"contains": '"MODEL":"gpt-4o"'}}},
    "completion": {"response": {"body_completion": {"like": '{"id":"chatcmpl-_"%'}}},
    "bodies": {R: {"request_body": {"contains": "messages"}, "response_body": {"contains": "1.50"}}},
    "whole body": {R: {"response_body": {"equals": '{"id":"chatcmpl-1","n":1.50}'}}},
    "not in the body": {R: {"response_body": {"not-contains": "refund"}}},
    "not contains": {R: {"model": {"not-contains": "claude"}}},
    "not equals": {"request": {"user_id": {"not-equals": "bob"}}},
    "no value": {"properties": {"_environment": {"equals": None}}},
    "no value as text": {"properties": {"_environment": {"equals": "null"}}},
    "some value": {"request": {"user_id": {"not-equals": "null"}}},
    "no verdict of that name": {R: {"scores": {"other": {"equals": None}}}},
    "times": {"request": {"created_at": {"gte": "2023-11-14T22:13:20Z", "lt": "2023-11-14T22:13:21Z"}}},
    "a date": {R: {"response_created_at": {"gt": "2023-11-14"}}},
    "provider": {R: {"provider": {"equals": "OPENAI"}}},
    "latency": {R: {"latency": {"gte": 250, "lte": 250}}},
    "cost": {R: {"cost": {"equals": 0.00125}}},
    "tokens": {R: {"total_tokens": {"equals": 42}, "prompt_tokens": {"lt": 13}}},
    "cached tokens": {R: {"prompt_cache_read_tokens": {"equals": 5}, "prompt_cache_write_tokens": {"gt": 0}}},
    "cached": {R: {"cached": {"equals": False}}},
    "prompt id": {"request": {"prompt_id": {"equals": "hello"}}, R: {"prompt_id": {"like": "hel%"}}},
    "first token": {R: {"time_to_first_token": {"equals": 100}}},
    "tenant": {R: {"organization_id": {"equals": "north"}}},
    "property": {"properties": {"plan": {"equals": "pro"}}},
    "nested property": {R: {"properties": {"plan": {"ilike": "PR_"}}}},
    "property key": {R: {"property_key": {"equals": "plan"}}},
    "score": {R: {"scores": {"quality": {"gt": 0.4}}}},
    "score name": {R: {"scores_column": {"equals": "quality"}}},
    "rating": {"feedback": {"rating": {"equals": True}}},
    "rating as a score": {R: {"helicone-score-feedback": {"equals": True}}},
    "two tables": {"request": {"id": {"equals": "request-1"}}, "feedback": {"rating": {"equals": True}}},
    "and": {"left": "all", "operator": "and", "right": {"feedback": {"rating": {"equals": True}}}},
    "or": {"left": {"request": {"id": {"equals": "x"}}}, "operator": "or", "right": "all"},
}


@pytest.mark.parametrize("tree", FOUND.values(), ids=FOUND)
async def test_a_filter_finds_the_request_it_describes(served: Served, tree: object) -> None:
    metadata = {**TAGS, "plan": "pro"}
    await served.log("request-1", FACTS, metadata=metadata, tenant="north")
    await served.rate("request-1", True)
    await served.score("request-1", quality=0.5)

    assert await served.ids(tree) == ["request-1"]
    if isinstance(tree, dict) and tree not in ({}, {"request": {}}):
        impossible = {"left": tree, "operator": "and", "right": {"request": {"id": {"equals": "other"}}}}
        assert await served.ids(impossible) == []


async def test_a_long_chain_of_conditions_is_taken(served: Served) -> None:
    await served.log("request-1")
    tree: object = "all"
    for _ in range(55):
        tree = {"left": tree, "operator": "and", "right": {"response": {"status": {"equals": 200}}}}

    assert await served.ids(tree) == ["request-1"]


EVERY_TENANTS = {"left": "all", "operator": "or", "right": {R: {"organization_id": {"equals": "south"}}}}


@pytest.mark.parametrize("tree", ["all", EVERY_TENANTS])
async def test_no_filter_reaches_another_tenants_rows(served: Served, tree: object) -> None:
    await served.log("north-1", tenant="north")
    await served.log("south-1", tenant="south")
    await served.log("nobodys")

    assert await served.ids(tree, "north") == ["north-1"]
    assert (await served.call("GET", "/south-1", key="north")).json() == NOT_FOUND


ROUTES = {
    ("POST", "/r/feedback"): ("voter", {"rating": True}),
    ("POST", "/r/score"): ("voter", {"scores": {"a": 1}}),
    ("PUT", "/r/property"): ("voter", {"key": "k", "value": "v"}),
    ("GET", "/r"): ("reader", None),
    ("POST", "/query"): ("reader", {}),
    ("POST", "/query-clickhouse"): ("reader", {}),
}


@pytest.mark.parametrize("route", ROUTES)
async def test_each_route_takes_the_keys_of_its_role_alone(served: Served, route: tuple[str, str]) -> None:
    await served.log("r")
    role, body = ROUTES[route]

    for key in ("voter", "reader", "proxy", "all"):
        reply = await served.call(*route, body, key)
        assert reply.status_code == (200 if key in (role, "all") else 403), key
    stranger = await served.client.request(*route, json=body, headers={"x-api-key": "no-such-key"})
    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, 'Bearer realm="gateway"')
    assert "no valid gateway key" in complaint(stranger)


async def test_an_answer_is_kept_by_no_cache(served: Served) -> None:
    await served.log("request-1")

    assert (await served.call("GET", "/request-1")).headers["cache-control"] == "no-store"
    assert json.loads((await served.call("POST", "/query", {})).content)["error"] is None
