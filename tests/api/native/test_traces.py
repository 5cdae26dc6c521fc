from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from gateway.domain.feedback import Target
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key


async def test_a_trace_is_its_requests_its_feedback_and_their_score(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append(
        [make_exchange("second", "t", started_at_us=2), make_exchange("first", "t", started_at_us=1)]
    )
    await store.put_feedback(
        [
            make_feedback("t", trace_id="t", value=10, score=1.0, weight=1.0, created_at_us=1),
            make_feedback(
                "first",
                target=Target.REQUEST,
                trace_id="t",
                request_id="first",
                score=-1.0,
                weight=0.5,
                created_at_us=2,
            ),
        ]
    )
    trace = (await client.get("/api/v1/traces/t")).json()
    assert trace["trace_id"] == "t"
    assert [row["request_id"] for row in trace["requests"]] == ["first", "second"]
    assert [entry["subject_id"] for entry in trace["feedback"]] == ["t", "first"]
    assert trace["score"] == {
        "count": 2,
        "weighted_mean": pytest.approx(1 / 3),
        "weighted_sum": 0.5,
        "total_weight": 1.5,
    }


async def test_a_trace_without_scores_has_no_mean(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", "t")])
    score = (await client.get("/api/v1/traces/t")).json()["score"]
    assert score == {"count": 0, "weighted_mean": None, "weighted_sum": 0.0, "total_weight": 0.0}


@pytest.mark.parametrize(
    "trace_id",
    [
        "a/b",
        "/a",
        "a//b",
        "a/",
        "100%",
        "a%2Fb",
        "%25",
        "a b",
        "a+b",
        "grün",
        "日本/語",
        "🙂",
        "a?b#c",
        "<b>&'\"",
        ";,:@=",
    ],
)
async def test_a_trace_id_may_be_any_printable_text(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, trace_id: str
) -> None:
    await store.append([make_exchange("r", trace_id), make_exchange("other", "a")])
    answer = await client.get(f"/api/v1/traces/{quote(trace_id, safe='')}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["trace_id"] == trace_id
    assert [row["request_id"] for row in answer.json()["requests"]] == ["r"]


async def test_slashes_in_an_id_need_no_encoding_but_at_its_end(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", "run/7/step")])
    for path in ("/api/v1/traces/run/7/step", "/api/v1/traces/run/7/step/"):
        assert (await client.get(path)).json()["trace_id"] == "run/7/step"


async def test_feedback_before_its_request_makes_a_trace(
    client: httpx.AsyncClient, store: Store, make_feedback: MakeFeedback
) -> None:
    await store.put_feedback([make_feedback("early", trace_id="early", score=1.0)])
    trace = (await client.get("/api/v1/traces/early")).json()
    assert trace["requests"] == []
    assert (trace["feedback"][0]["joined_at"], trace["score"]["count"]) == (None, 1)


async def test_an_unknown_trace_is_404_in_our_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/traces/never")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": "not_found",
        "message": "there is no trace 'never'.",
        "field": "trace_id",
    }


async def test_a_query_parameter_on_a_trace_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/traces/t?limit=5")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "limit")


async def test_a_tenant_reads_its_own_part_of_a_trace_alone(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", "t", tenant="a")])
    await store.put_feedback([make_feedback("t", trace_id="t", tenant="a", score=1.0)])
    assert (await client.get("/api/v1/traces/t", headers=key("reader-b"))).status_code == 404
    mine = (await client.get("/api/v1/traces/t", headers=key("reader-a"))).json()
    assert (len(mine["requests"]), len(mine["feedback"])) == (1, 1)
