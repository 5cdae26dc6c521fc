"""Figures over HTTP: what is in a row, how it is asked for, and as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import httpx
import pytest

from gateway.models.exchange import Outcome
from gateway.models.feedback import Target
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.models.request import Cost, Facts, Usage
from gateway.query.metrics import GROUP_FIELDS
from gateway.store.base import Store
from tests.store.random_data import LATER_US, fill, world_of

from .conftest import MakeExchange, MakeFeedback, key

MONDAY_US = 1_700_438_400_000_000
"""2023-11-20T00:00:00Z."""

HOUR_US = 3_600_000_000


async def ask(client: httpx.AsyncClient, **parameters: str | int) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/aggregates", params=parameters)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


@pytest.fixture
async def three_requests(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> None:
    """Two answers of one model that were judged, and a failure of nobody's."""
    at = MONDAY_US + 5 * HOUR_US
    tags = {"_user": "ann", "team": "red"}
    seqs = await store.append(
        [
            make_exchange(
                "r1", started_at_us=at, first_byte_at_us=at + 1000, ended_at_us=at + 10_000, metadata=tags
            ),
            make_exchange(
                "r2", started_at_us=at, first_byte_at_us=at + 3000, ended_at_us=at + 30_000, metadata=tags
            ),
            make_exchange(
                "r3",
                started_at_us=at + HOUR_US,
                ended_at_us=at + HOUR_US,
                status=502,
                outcome=Outcome.TIMEOUT,
            ),
        ]
    )
    facts = Facts(model="m", usage=Usage(100, 20, 40), cost=Cost(1_500_000, "v"))
    await store.annotate([(seqs[0], facts), (seqs[1], facts), (seqs[2], Facts())], at_us=1)
    votes = [("r1", 1.0, 10.0, 1.0), ("r2", -0.5, -5.0, 0.5), ("r2", None, None, 1.0)]
    await store.put_feedback(
        [
            make_feedback(name, target=Target.REQUEST, value=grade, score=score, grade=grade, weight=weight)
            for name, score, grade, weight in votes
        ]
    )


@pytest.mark.usefixtures("three_requests")
async def test_without_a_split_there_is_one_row_with_everything(client: httpx.AsyncClient) -> None:
    [row] = await ask(client)
    feedback = row.pop("feedback")
    assert row == {
        "bucket": None,
        "group": None,
        "second_group": None,
        "requests": 3,
        "errors": 1,
        "error_rate": pytest.approx(1 / 3),
        "coverage": pytest.approx(2 / 3),
        "cost": {"usd": 0.003, "nanousd": 3_000_000, "priced_requests": 2},
        "tokens": {"prompt": 200, "completion": 40, "cached": 80, "counted_requests": 2},
        "latency_ms": {"mean": pytest.approx(40 / 3), "p50": 10, "p90": 30, "p95": 30, "p99": 30},
        "first_byte_ms": 2.0,
    }
    assert (feedback["count"], feedback["total_weight"]) == (3, 1.5)
    assert feedback["mean_score"]["value"] == pytest.approx(0.5)
    assert -1 <= feedback["mean_score"]["low"] < 0.5 < feedback["mean_score"]["high"] <= 1
    assert feedback["share_positive"]["value"] == 0.5
    assert feedback["average_weighted_grade"] == pytest.approx((10 - 2.5) / 2)


async def test_of_nothing_there_is_a_row_of_nothing(client: httpx.AsyncClient) -> None:
    [row] = await ask(client)
    assert (row["requests"], row["error_rate"], row["coverage"], row["latency_ms"]) == (0, None, None, None)
    assert (row["first_byte_ms"], row["feedback"]["mean_score"], row["feedback"]["share_positive"]) == (
        None, None, None,
    )  # fmt: skip


@pytest.mark.usefixtures("three_requests")
async def test_one_entry_has_no_interval(client: httpx.AsyncClient) -> None:
    [row] = await ask(client, request_id="r1")
    assert row["feedback"]["mean_score"] == {"value": 1.0, "low": None, "high": None}


@pytest.mark.usefixtures("three_requests")
async def test_groups_are_those_of_most_requests_first_and_none_is_one_too(client: httpx.AsyncClient) -> None:
    assert [(row["group"], row["requests"]) for row in await ask(client, group_by="model")] == [
        ("m", 2),
        (None, 1),
    ]
    assert [row["group"] for row in await ask(client, group_by="status")] == [200, 502]
    assert [row["group"] for row in await ask(client, group_by="is_stream")] == [False]
    assert [row["group"] for row in await ask(client, group_by="metadata.team")] == ["red", None]


@pytest.mark.usefixtures("three_requests")
async def test_an_order_may_go_up_and_what_has_no_such_figure_comes_last(client: httpx.AsyncClient) -> None:
    assert [row["group"] for row in await ask(client, group_by="user", order="requests")] == [None, "ann"]
    for order in ("score", "-score"):
        assert [row["group"] for row in await ask(client, group_by="user", order=order)] == ["ann", None]


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize(
    ("bucket", "starts"),
    [
        ("minute", ["2023-11-20T05:00:00.000000Z", "2023-11-20T06:00:00.000000Z"]),
        ("hour", ["2023-11-20T05:00:00.000000Z", "2023-11-20T06:00:00.000000Z"]),
        ("day", ["2023-11-20T00:00:00.000000Z"]),
        ("week", ["2023-11-20T00:00:00.000000Z"]),
    ],
)
async def test_figures_are_split_by_time(client: httpx.AsyncClient, bucket: str, starts: list[str]) -> None:
    rows = await ask(client, bucket=bucket)
    assert [row["bucket"] for row in rows] == starts
    assert sum(row["requests"] for row in rows) == 3


async def test_a_week_begins_on_monday(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(started_at_us=MONDAY_US - 1), make_exchange(started_at_us=MONDAY_US)])
    starts = [row["bucket"] for row in await ask(client, bucket="week")]
    assert starts == ["2023-11-13T00:00:00.000000Z", "2023-11-20T00:00:00.000000Z"]


@pytest.mark.usefixtures("three_requests")
async def test_all_criteria_of_requests_narrow_figures(client: httpx.AsyncClient) -> None:
    assert [row["requests"] for row in await ask(client, user="ann", **{"metadata.team": "red"})] == [2]
    assert [row["requests"] for row in await ask(client, status="5xx")] == [1]
    assert [row["requests"] for row in await ask(client, model="m", to="2023-11-20T05:00:00Z")] == [0]
    assert [row["requests"] for row in await ask(client, **{"from": "2023-11-20T06:00:00Z"})] == [1]


@pytest.mark.usefixtures("three_requests")
async def test_rows_are_paged_through(client: httpx.AsyncClient) -> None:
    first = (await client.get("/api/v1/aggregates?group_by=user&limit=1")).json()
    cursor = first["next_cursor"]
    second = (await client.get(f"/api/v1/aggregates?group_by=user&limit=1&cursor={cursor}")).json()
    assert [row["group"] for row in first["data"] + second["data"]] == ["ann", None]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("is_rolled_up", [False, True])
async def test_figures_are_what_counting_gives(
    client: httpx.AsyncClient, store: Store, is_rolled_up: bool
) -> None:
    await fill(store, random.Random(3))
    if is_rolled_up:
        await store.roll_up(LATER_US)
    world = await world_of(store)
    for name, field in [*GROUP_FIELDS.items(), ("metadata.team", "metadata.team")]:
        question = MetricsQuery(0, END_OF_TIME_US, group_by=field)
        usage, feedback_sums = world.usage(question), world.feedback_sums(question)
        rows = {row["group"]: row for row in await ask(client, group_by=name)}
        assert rows.keys() == {cell.value for cell in usage}
        for cell, sums in usage.items():
            row, said = rows[cell.value], feedback_sums.get(cell)
            assert (row["requests"], row["errors"]) == (sums.requests, sums.errors)
            assert row["cost"]["nanousd"] == sums.cost_nanousd
            assert row["tokens"]["prompt"] == sums.prompt_tokens
            assert row["feedback"]["count"] == (said.entries if said else 0)
            assert row["coverage"] == pytest.approx(said.judged_requests / sums.requests if said else 0)


@pytest.mark.usefixtures("three_requests")
@pytest.mark.parametrize(("query", "accept"), [("&format=csv", "*/*"), ("", "text/csv")])
async def test_rows_come_as_a_table_too(client: httpx.AsyncClient, query: str, accept: str) -> None:
    answer = await client.get(f"/api/v1/aggregates?group_by=user&limit=1{query}", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="aggregates.csv"'
    [row] = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert list(row)[:4] == ["bucket", "group", "second_group", "requests"]
    assert (row["group"], row["requests"], row["cost_usd"]) == ("ann", "2", "0.003")
    assert float(row["feedback_mean_score_value"]) == pytest.approx(0.5)
    following = await client.get(answer.links["next"]["url"], headers={"Accept": accept})
    [other] = csv.DictReader(io.StringIO(following.text, newline=""))
    assert (other["group"], other["latency_ms_p50"], other["first_byte_ms"]) == ("", "0.0", "")
    assert "next" not in following.links


@pytest.mark.usefixtures("three_requests")
async def test_json_may_be_asked_for_of_those_that_prefer_tables(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/aggregates?format=json", headers={"Accept": "text/csv"})
    assert answer.json()["data"][0]["requests"] == 3


async def test_a_name_that_a_spreadsheet_would_run_is_made_harmless(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(metadata={"_user": '=cmd|"/c calc"!A1'})])
    answer = await client.get("/api/v1/aggregates?group_by=user&format=csv")
    [row] = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert row["group"] == '\'=cmd|"/c calc"!A1'


@pytest.mark.parametrize(
    ("query", "field"), [("format=xml", "format"), ("group_by=colour", "group_by"), ("bucket=year", "bucket")]
)
async def test_a_bad_parameter_is_400_and_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/api/v1/aggregates?{query}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


async def test_a_tenant_s_figures_are_of_its_own_requests_alone(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", tenant="a", metadata={"_user": "ann"})])
    await store.put_feedback([make_feedback("r", target=Target.REQUEST, tenant="a", score=1.0)])
    for query in ("", "?group_by=tenant", "?group_by=user", "?bucket=day"):
        theirs = await client.get(f"/api/v1/aggregates{query}", headers=key("reader-b"))
        assert [row["requests"] for row in theirs.json()["data"]] == ([] if query else [0])
        mine = await client.get(f"/api/v1/aggregates{query}", headers=key("reader-a"))
        [row] = mine.json()["data"]
        assert (row["requests"], row["feedback"]["count"]) == (1, 1)
    assert [row["group"] for row in await ask(client, group_by="tenant")] == ["a"]


async def test_an_answer_within_a_time_says_which_requests_count(
    store: Store, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.metrics._PART_SECONDS", 0.0)
    monkeypatch.setattr("gateway.query.metrics._USAGE_SHARE", 0.0)
    await fill(store, random.Random(1))
    asked: dict[str, str] = {"group_by": "metadata.team,model", "within": "0.8"}
    first = (await client.get("/api/v1/aggregates", params=asked)).json()
    covered = first["partial"]
    assert 0 < covered["share"] < 1
    assert covered["is_being_summed_up"] is True
    since = await ask(client, group_by="metadata.team,model", **{"from": covered["covers_from"]})
    assert first["data"] == since
    users = (await client.get("/api/v1/users", params={"within": "0.8"})).json()
    latest = await client.get("/api/v1/users", params={"from": users["partial"]["covers_from"]})
    assert users["data"] == latest.json()["data"]
    await store.roll_up(LATER_US)
    later = (await client.get("/api/v1/aggregates", params=asked)).json()
    assert later["partial"] is None
    assert later["data"] == await ask(client, group_by="metadata.team,model")


@pytest.mark.parametrize(
    "parameters", [{"within": "0"}, {"within": "soon"}, {"within": "1", "format": "csv"}]
)
async def test_a_time_that_cannot_be_kept_to_is_refused(
    client: httpx.AsyncClient, parameters: dict[str, str]
) -> None:
    answer = await client.get("/api/v1/aggregates", params=parameters)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "within"
