from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from gateway.models.feedback import Target
from gateway.models.request import Cost, Facts, Usage
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


async def list_traces(client: httpx.AsyncClient, **parameters: str | int) -> list[str]:
    answer = await client.get("/api/v1/traces", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["trace_id"] for row in answer.json()["data"]]


async def test_a_listed_trace_has_the_figures_of_all_its_requests(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    seqs = await store.append(
        [
            make_exchange(
                "r1", "t", started_at_us=1_000_000, ended_at_us=2_000_000, metadata={"_user": "bob"}
            ),
            make_exchange(
                "r2", "t", started_at_us=3_000_000, ended_at_us=9_000_000, metadata={"_user": "ann"}
            ),
            make_exchange("r3", "t", started_at_us=4_000_000, ended_at_us=5_000_000, status=500),
        ]
    )
    facts = Facts(model="m", usage=Usage(10, 5, 2), cost=Cost(1_500_000, "v"))
    await store.annotate([(seq, facts) for seq in seqs[:2]], at_us=1)
    await store.put_feedback(
        [
            make_feedback("t", trace_id="t", joined_at_us=1, score=1.0, grade=10.0),
            make_feedback("r1", target=Target.REQUEST, score=0.0, grade=0.0),
        ]
    )
    [row] = (await client.get("/api/v1/traces")).json()["data"]
    feedback = row.pop("feedback")
    assert row == {
        "trace_id": "t",
        "started_at": "1970-01-01T00:00:01.000000Z",
        "ended_at": "1970-01-01T00:00:09.000000Z",
        "models": ["m"],
        "users": ["ann", "bob"],
        "requests": 3,
        "errors": 1,
        "error_rate": pytest.approx(1 / 3),
        "coverage": pytest.approx(2 / 3),
        "cost": {"usd": 0.003, "nanousd": 3_000_000, "priced_requests": 2},
        "tokens": {"prompt": 20, "completion": 10, "cached": 4, "counted_requests": 2},
    }
    assert (feedback["count"], feedback["mean_score"]["value"]) == (2, 0.5)


async def test_traces_come_newest_first_and_are_found_by_any_of_their_requests(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append(
        [
            make_exchange(trace_id="a", metadata={"_user": "ann"}),
            make_exchange(trace_id="b", status=500),
            make_exchange(trace_id="a"),
        ]
    )
    assert await list_traces(client) == ["a", "b"]
    assert await list_traces(client, user="ann") == ["a"]
    assert await list_traces(client, status="5xx") == ["b"]
    assert await list_traces(client, status="5xx", user="ann") == []


async def test_following_cursors_meets_each_trace_once_while_requests_are_added(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(trace_id=f"t{number % 5}") for number in range(10)])
    seen: list[str] = []
    parameters: dict[str, str | int] = {"limit": 2}
    while True:
        answer = (await client.get("/api/v1/traces", params=parameters)).json()
        seen += [row["trace_id"] for row in answer["data"]]
        await store.append([make_exchange(trace_id="t0"), make_exchange(trace_id="new")])
        if answer["next_cursor"] is None:
            break
        parameters["cursor"] = answer["next_cursor"]
    assert seen == ["t4", "t3", "t2", "t1", "t0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("colour=red", "colour"),
        ("limit=501", "limit"),
        ("cursor=5", "cursor"),
        ("cursor=5.x", "cursor"),
        ("cursor=99999999999999999999.1", "cursor"),
        ("from=tuesday", "from"),
        ("user=a&user=b", "user"),
        ("group_by=user", "group_by"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/traces", "/api/v1/sessions"])
async def test_a_bad_parameter_of_a_list_is_400_and_named(
    client: httpx.AsyncClient, path: str, query: str, field: str
) -> None:
    answer = await client.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


async def test_a_tenant_lists_its_own_traces_with_its_own_part_of_them(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append(
        [
            make_exchange(trace_id="shared", tenant="a", metadata={"_user": "ann"}),
            make_exchange(trace_id="shared", tenant="b", metadata={"_user": "bob"}),
            make_exchange(trace_id="theirs", tenant="b"),
        ]
    )
    await store.put_feedback([make_feedback("shared", trace_id="shared", tenant="b", score=1.0)])
    [row] = (await client.get("/api/v1/traces", headers=key("reader-a"))).json()["data"]
    assert (row["trace_id"], row["requests"], row["users"]) == ("shared", 1, ["ann"])
    assert row["feedback"]["count"] == 0
