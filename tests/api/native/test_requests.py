from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.models.exchange import Outcome
from gateway.models.feedback import Target
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key


async def find(client: httpx.AsyncClient, **parameters: str | int) -> list[str]:
    answer = await client.get("/api/v1/requests", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["request_id"] for row in answer.json()["data"]]


async def show(client: httpx.AsyncClient, request_id: str) -> Any:
    answer = await client.get(f"/api/v1/requests/{request_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def two_requests(store: Store, make_exchange: MakeExchange) -> None:
    """`here` and `there`, which differ in everything that can be looked for."""
    seqs = await store.append(
        [
            make_exchange(
                name,
                f"trace {name}",
                provider=f"provider {name}",
                endpoint=f"endpoint {name}",
                status=status,
                outcome=outcome,
                started_at_us=started_at_us,
                metadata={
                    "_user": f"user {name}",
                    "_environment": f"environment {name}",
                    "_organisation": f"organisation {name}",
                    "_prompt": f"prompt {name}",
                    "_prompt_version": f"prompt_version {name}",
                    "_session": f"session {name}",
                    "team": f"team {name}",
                    "dotted.key": f"dotted {name}",
                    "round": status,
                    "is_test": status == 200,
                },
            )
            for name, status, outcome, started_at_us in (
                ("here", 200, Outcome.COMPLETE, 1_000_000),
                ("there", 429, Outcome.CLIENT_CLOSED, 2_000_000),
            )
        ]
    )
    facts = [Facts(requested_model=f"asked {name}", model=f"model {name}") for name in ("here", "there")]
    await store.annotate(list(zip(seqs, facts, strict=True)), at_us=3_000_000)


@pytest.mark.usefixtures("two_requests")
@pytest.mark.parametrize(
    ("name", "here", "there"),
    [
        ("trace_id", "trace here", "trace there"),
        ("request_id", "here", "there"),
        ("model", "model here", "model there"),
        ("model", "asked here", "asked there"),
        ("provider", "provider here", "provider there"),
        ("endpoint", "endpoint here", "endpoint there"),
        ("status", "200", "429"),
        ("status", "2xx", "4xx"),
        ("outcome", "complete", "client_closed"),
        ("user", "user here", "user there"),
        ("environment", "environment here", "environment there"),
        ("organisation", "organisation here", "organisation there"),
        ("prompt", "prompt here", "prompt there"),
        ("prompt_version", "prompt_version here", "prompt_version there"),
        ("session", "session here", "session there"),
        ("metadata.team", "team here", "team there"),
        ("metadata.dotted.key", "dotted here", "dotted there"),
        ("metadata.round", "200", "429"),
        ("metadata.is_test", "true", "false"),
    ],
)
async def test_each_filter_finds_its_own_and_not_the_other(
    client: httpx.AsyncClient, name: str, here: str, there: str
) -> None:
    assert await find(client, **{name: here}) == ["here"]
    assert await find(client, **{name: there}) == ["there"]
    assert await find(client, **{name: "599" if name == "status" else "timeout"}) == []


@pytest.mark.usefixtures("two_requests")
async def test_from_is_included_and_to_is_not(client: httpx.AsyncClient) -> None:
    assert await find(client, **{"from": 2_000_000}) == ["there"]
    assert await find(client, **{"from": "1970-01-01T00:00:01.000001Z"}) == ["there"]
    assert await find(client, to="1970-01-01T00:00:02Z") == ["here"]
    assert await find(client, **{"from": "1970-01-01T01:00:01+01:00", "to": "2000001"}) == ["there", "here"]


@pytest.mark.usefixtures("two_requests")
async def test_all_conditions_must_hold(client: httpx.AsyncClient) -> None:
    assert await find(client, status="2xx", **{"metadata.team": "team here"}) == ["here"]
    assert await find(client, status="2xx", **{"metadata.team": "team there"}) == []


async def test_following_cursors_meets_each_row_once_while_rows_are_added(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(f"r{number}") for number in range(5)])
    seen: list[str] = []
    parameters: dict[str, str | int] = {"limit": 2}
    while True:
        answer = (await client.get("/api/v1/requests", params=parameters)).json()
        seen += [row["request_id"] for row in answer["data"]]
        await store.append([make_exchange()])
        if answer["next_cursor"] is None:
            break
        parameters["cursor"] = answer["next_cursor"]
    assert seen == ["r4", "r3", "r2", "r1", "r0"]


async def test_fifty_rows_come_unless_another_limit_is_asked_for(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange() for _ in range(60)])
    assert len(await find(client)) == 50
    assert len(await find(client, limit=500)) == 60


@pytest.mark.parametrize(
    ("path", "field", "allowed"),
    [
        ("/api/v1/requests?colour=red", "colour", "trace_id"),
        ("/api/v1/requests?limit=501", "limit", "from 1 to 500"),
        ("/api/v1/requests?outcome=fine", "outcome", "upstream_truncated"),
        ("/api/v1/requests?from=tuesday", "from", "RFC 3339"),
        ("/api/v1/requests/r?raw=both", "raw", "request, response"),
        ("/api/v1/requests/r?colour=red", "colour", "raw"),
    ],
)
async def test_a_bad_parameter_is_400_and_named(
    client: httpx.AsyncClient, path: str, field: str, allowed: str
) -> None:
    answer = await client.get(path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "bad_input", field)
    assert allowed in error["message"]


async def test_an_unknown_request_is_404_in_our_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/requests/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "no request has the id 'nowhere'.", "field": "request_id"}
    }


async def test_times_latencies_and_cost_have_their_units(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    seqs = await store.append([make_exchange("r", first_byte_at_us=1_700_000_000_001_250)])
    usage = Usage(prompt_tokens=10, completion_tokens=5)
    facts = Facts(model="m", usage=usage, cost=Cost(1_234_567, "2026-01"), response_id="chatcmpl-1")
    await store.annotate([(seqs[0], facts)], at_us=1_700_000_001_000_000)
    row = await show(client, "chatcmpl-1")
    assert row["started_at"] == "2023-11-14T22:13:20.000000Z"
    assert row["ended_at"] == "2023-11-14T22:13:20.250500Z"
    assert (row["latency_ms"], row["time_to_first_byte_ms"]) == (250.5, 1.25)
    assert (row["cost_nanousd"], row["cost_usd"]) == (1_234_567, 0.001234567)
    assert (row["prompt_tokens"], row["completion_tokens"], row["model"]) == (10, 5, "m")
    assert row["interpreted_at"] == "2023-11-14T22:13:21.000000Z"


async def test_what_is_not_yet_known_is_null(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", status=None, outcome=Outcome.CLIENT_CLOSED)])
    row = await show(client, "r")
    unknown = (
        "status",
        "first_byte_at",
        "time_to_first_byte_ms",
        "cost_usd",
        "cost_nanousd",
        "interpreted_at",
    )
    assert [row[name] for name in unknown] == [None] * len(unknown)


async def test_a_request_is_shown_with_its_feedback(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", "t")])
    vote = make_feedback(
        "r",
        target=Target.REQUEST,
        trace_id="t",
        request_id="r",
        joined_at_us=1_700_000_001_000_000,
        value=7.0,
        score=0.7,
        metadata={"page": 3},
        raw='{"trace_id": "r", "value": 7}',
    )
    await store.put_feedback([vote])
    (entry,) = (await show(client, "r"))["feedback"]
    assert (entry["feedback_id"], entry["value"], entry["score"]) == (vote.feedback_id, 7, 0.7)
    assert (entry["metadata"], entry["raw"]) == ({"page": 3}, {"trace_id": "r", "value": 7})
    assert entry["joined_at"] == entry["created_at"] == "2023-11-14T22:13:21.000000Z"


async def test_tenants_neither_list_nor_read_nor_download_each_others_requests(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("mine", tenant="a", request_body=b"mine")])
    for path in ("/api/v1/requests/mine", "/api/v1/requests/mine?raw=request"):
        assert (await client.get(path, headers=key("reader-a"))).status_code == 200
        assert (await client.get(path, headers=key("reader-b"))).status_code == 404
    listed = await client.get("/api/v1/requests", headers=key("reader-b"))
    assert listed.json() == {"data": [], "next_cursor": None, "unknown_keys": []}
    assert await find(client) == ["mine"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/requests",
        "/api/v1/requests/r",
        "/api/v1/traces",
        "/api/v1/traces/t",
        "/api/v1/sessions",
        "/api/v1/sessions/s",
        "/api/v1/users",
        "/api/v1/users/u",
        "/api/v1/aggregates",
    ],
)
async def test_only_readers_and_admins_may_read(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, path: str
) -> None:
    await store.append([make_exchange("r", "t", metadata={"_session": "s", "_user": "u"})])
    answers = [await client.get(path, headers=key(name)) for name in ("reader", "admin", "app", "stranger")]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 401]
    assert [answer.json()["error"]["code"] for answer in answers[2:]] == ["forbidden", "unauthorized"]


async def test_a_trailing_slash_is_no_part_of_an_id(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r")])
    assert (await show(client, "r/"))["request_id"] == "r"
    assert (await client.get("/api/v1/requests/")).status_code == 200


async def test_no_cache_keeps_what_was_read(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r")])
    for path in ("/api/v1/requests", "/api/v1/requests/r", "/api/v1/requests/r?raw=request"):
        assert (await client.get(path)).headers["Cache-Control"] == "no-store"


async def test_an_id_of_several_requests_is_refused_with_candidates_that_can_be_told_apart(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    seqs = await store.append(
        [make_exchange("twice", "older", tenant="a"), make_exchange("twice", "newer", tenant="a")]
    )
    await store.annotate([(seqs[0], Facts(response_id="chatcmpl-1"))], at_us=1)
    refused = await client.get("/api/v1/requests/twice")
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["code"], error["field"]) == ("ambiguous", "request_id")
    assert error["message"].startswith("'twice' names several requests, the newest first: request 'twice' in")
    assert error["candidates"] == [
        {"trace_id": "newer", "request_id": "twice", "response_id": None, "tenant": "a", "row": seqs[1]},
        {
            "trace_id": "older", "request_id": "twice", "response_id": "chatcmpl-1", "tenant": "a",
            "row": seqs[0],
        },
    ]  # fmt: skip
    for seq, trace_id in zip(seqs, ("older", "newer"), strict=True):
        assert (await show(client, f"twice?row={seq}"))["trace_id"] == trace_id
    assert (await show(client, "chatcmpl-1"))["trace_id"] == "older"
    for trace_id in ("older", "newer"):
        assert (await show(client, f"twice?trace_id={trace_id}"))["trace_id"] == trace_id
    assert (await client.get("/api/v1/requests/twice?trace_id=other")).status_code == 404
    assert (await client.get("/api/v1/requests/twice", headers=key("reader-b"))).status_code == 404
