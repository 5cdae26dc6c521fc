"""What analysts ask about answers that were liked or not: each question has its answer, or says it has none."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.models.clock import now_us
from gateway.models.feedback import Target
from gateway.models.request import Facts, Usage
from gateway.store import open_store
from gateway.store.base import Store
from tests.api.native.conftest import MakeExchange, MakeFeedback, key

HOUR_US = 3_600_000_000


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    sqlite = f"sqlite:///{tmp_path}/gateway.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    store = await open_store(url)
    yield store
    await store.close()


@pytest.fixture(autouse=True)
async def four_requests(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> None:
    """Two of team support, of which one was disliked and one liked; one of sales, disliked; and one of long ago."""
    ago_us = [HOUR_US, 2 * HOUR_US, 3 * HOUR_US, 1000 * HOUR_US]
    what = [
        ("bad", "support", "v1"),
        ("good", "support", "v2"),
        ("other", "sales", "v1"),
        ("old", "support", "v1"),
    ]
    seqs = await store.append(
        [
            make_exchange(
                name,
                f"trace {name}",
                started_at_us=now_us() - ago,
                ended_at_us=now_us() - ago + 1000,
                metadata={"team": team, "prompt_version": version, "a,b": "c"},
            )
            for (name, team, version), ago in zip(what, ago_us, strict=True)
        ]
    )
    await store.annotate(
        [(seq, Facts(model=model)) for seq, model in zip(seqs, "mnmm", strict=True)], now_us()
    )
    said: list[tuple[str, float, float, dict[str, Any]]] = [
        ("trace bad", -10, 1.0, {"comment": "Wrong CITY", "label": "wrong", "metadata": {"page": "faq"}}),
        ("trace bad", 2, 0.5, {"label": "late"}),
        ("trace good", 10, 1.0, {"metadata": {"team": "voters"}}),
        ("trace other", -1, 0.3, {}),
        ("trace old", -10, 1.0, {}),
    ]
    await store.put_feedback(
        [
            make_feedback(
                subject,
                feedback_id=f"0190a000-0000-7000-8000-00000000000{number}",
                target=Target.TRACE,
                value=value,
                score=value / 10,
                grade=value,
                weight=weight,
                author="ann",
                created_at_us=now_us()
                - (1000 * HOUR_US if subject == "trace old" else HOUR_US // 2)
                - number,
                **others,
            )
            for number, (subject, value, weight, others) in enumerate(said)
        ]
    )


async def ask(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


async def found(client: httpx.AsyncClient, path: str) -> list[str]:
    rows = (await ask(client, path))["data"]
    return [row.get("subject_id") or row["request_id"] for row in rows]


async def test_disliked_answers_of_one_team_are_one_question(client: httpx.AsyncClient) -> None:
    assert await found(client, "requests?max_score=-0.1&metadata.team=support&from=7d") == ["bad"]
    assert await found(client, "feedback?max_score=-0.1&metadata.team=support&from=7d") == ["trace bad"]
    assert await found(client, "requests?rating=bad&to=2d&metadata.team=support") == ["old"]
    # 0.3 × -0.1 / 0.3 is a little more than -0.1 in binary.
    assert await found(client, "requests?max_score=-0.1&from=7d") == ["other", "bad"]
    assert await found(client, "requests?min_score=0.9") == ["good"]
    assert await found(client, "requests?rating=neutral") == []
    assert await found(client, "requests?has_feedback=false") == []


async def test_requests_are_found_by_what_one_entry_says(client: httpx.AsyncClient) -> None:
    assert await found(client, "requests?label=wrong&comment=city&feedback.metadata.page=faq") == ["bad"]
    assert await found(client, "requests?label=late&comment=city") == []
    assert await found(client, "feedback?comment=wrong%20city") == ["trace bad"]
    assert await found(client, "feedback?label=late&rating=good") == ["trace bad"]
    assert await found(client, "feedback?model=n&provider=openai&status=2xx") == ["trace good"]


async def test_each_row_says_what_was_said_of_it(client: httpx.AsyncClient) -> None:
    [row] = (await ask(client, "requests?request_id=bad"))["data"]
    assert row["feedback_count"] == 2
    assert row["mean_score"] == pytest.approx((-1 + 0.5 * 0.2) / 1.5)
    pairs = [
        {"value": -10.0, "weight": 1.0, "kind": "rating", "via": "trace"},
        {"value": 2.0, "weight": 0.5, "kind": "rating", "via": "trace"},
    ]
    assert sorted(row["feedback_pairs"], key=lambda pair: pair["value"]) == pairs
    [in_trace] = (await ask(client, "traces/trace%20bad"))["requests"]
    alone = await ask(client, "requests/bad")
    for name in ("feedback_count", "mean_score"):
        assert alone[name] == in_trace[name] == row[name]


async def test_metadata_of_the_request_and_of_the_feedback_are_apart(client: httpx.AsyncClient) -> None:
    assert await found(client, "feedback?metadata.team=voters") == []
    assert await found(client, "feedback?feedback.metadata.team=voters") == ["trace good"]
    assert await found(client, "requests?feedback.metadata.team=voters&metadata.team=support") == ["good"]


UNKNOWN: dict[str, list[str]] = {
    "requests?metadata.teem=support": ["metadata.teem"],
    "requests?metadata.team=nobody": [],
    "requests?feedback.metadata.team=nobody": [],
    "requests?feedback.metadata.teem=x&metadata.team=support": ["feedback.metadata.teem"],
    # Only a vote has it, and no request.
    "feedback?metadata.page=faq": ["metadata.page"],
    "feedback?feedback.metadata.prompt_version=v1": ["feedback.metadata.prompt_version"],
    "requests?metadata.team=support&from=1m": ["metadata.team"],
    "traces?metadata.teem=support": ["metadata.teem"],
    "sessions?metadata.teem=support": ["metadata.teem"],
    "users?metadata.teem=support": ["metadata.teem"],
    "aggregates?metadata.teem=support": ["metadata.teem"],
    "aggregates?group_by=metadata.teem": ["metadata.teem"],
    "aggregates?group_by=metadata.teem,model&metadata.team=support": ["metadata.teem"],
    "aggregates?group_by=metadata.team&metadata.team=nobody": [],
}


async def test_a_key_that_nothing_has_is_named(client: httpx.AsyncClient) -> None:
    for path, unknown in UNKNOWN.items():
        assert (await ask(client, path))["unknown_keys"] == unknown, path
        if unknown and path.startswith(("requests", "feedback", "aggregates")):
            # A table has no place for it.
            answer = await client.get(f"/api/v1/{path}&format=csv")
            assert (answer.status_code, answer.json()["error"]["field"]) == (400, unknown[0]), path


async def test_entries_come_with_what_was_asked_and_answered_or_why_nothing_was(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    asked = b'{"messages": [{"role": "user", "content": "Where is it?"}]}'
    answers = {
        "full": (200, b'{"choices": [{"message": {"content": "Here."}}]}'),
        "none": (200, b'{"choices": [{"message": {"content": ""}}]}'),
        "failed": (500, b'{"error": {"message": "no"}}'),
    }
    ids = list(answers)
    seqs = await store.append(
        [
            make_exchange(name, f"trace {name}", request_body=asked, response_body=body, status=status)
            for name, (status, body) in answers.items()
        ]
    )
    cut = Facts(
        finish_reason="length", usage=Usage(prompt_tokens=1, completion_tokens=50, reasoning_tokens=50)
    )
    facts = zip(seqs, (Facts(), cut, Facts()), strict=True)
    await store.annotate(list(facts), now_us())
    entries = [
        make_feedback(
            f"trace {name}",
            feedback_id=f"0190b000-0000-7000-8000-00000000000{number}",
            target=Target.TRACE,
            label="texts",
            created_at_us=now_us() - number * HOUR_US,
        )
        for number, name in enumerate([*ids, "waiting"])
    ]
    await store.put_feedback(entries)

    reasons = [None, "finish_reason length, 50 of 50 tokens are reasoning", "status 500", None]
    rows = (await ask(client, "feedback?label=texts&texts=true"))["data"]
    assert [row["question"] for row in rows] == ["Where is it?"] * 3 + [None]
    assert [row["answer"] for row in rows] == ["Here.", None, None, None]
    assert [row["no_answer"] for row in rows] == reasons
    table = await client.get("/api/v1/feedback?label=texts&texts=true&format=csv")
    read = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [row["no_answer"] for row in read] == [reason or "" for reason in reasons]
    assert read[0]["answer"] == "Here."

    [row, *_] = (await ask(client, "feedback?label=texts"))["data"]
    assert "question" not in row
    refused = await client.get("/api/v1/feedback?texts=yes")
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "texts")


async def test_figures_are_split_by_two_fields(client: httpx.AsyncClient) -> None:
    version = "group_by=metadata.prompt_version"
    for query in (f"{version},model", f"{version}&group_by=model"):
        rows = (await ask(client, f"aggregates?{query}&order=requests"))["data"]
        figures = [
            (row["group"], row["second_group"], row["requests"], row["feedback"]["count"]) for row in rows
        ]
        assert figures == [("v2", "n", 1, 1), ("v1", "m", 3, 4)]
    answer = await client.get(f"/api/v1/aggregates?{query}&format=csv&limit=1")
    [row] = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["group"], row["second_group"], row["requests"]) == ("v1", "m", "3")


async def test_figures_count_an_entry_once_whatever_they_are_narrowed_by(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("earlier", "trace bad", started_at_us=now_us() - 5 * HOUR_US)])
    assert await found(client, "requests?rating=bad&from=1d") == ["earlier", "other", "bad"]
    assert await found(client, "requests?rating=bad&from=1d&judged=true") == ["other", "bad"]
    [row] = (await ask(client, "aggregates?rating=bad&from=1d&label=wrong"))["data"]
    assert (row["requests"], row["coverage"], row["feedback"]["count"]) == (1, 1.0, 2)
    [row] = (await ask(client, "aggregates?has_feedback=false&from=1d"))["data"]
    assert (row["requests"], row["feedback"]["count"]) == (1, 0)


async def test_rows_come_as_csv_all_of_them_or_a_page(client: httpx.AsyncClient) -> None:
    for path, name, total in (("requests", "request_id", 4), ("feedback", "subject_id", 5)):
        whole = await client.get(f"/api/v1/{path}?format=csv")
        assert whole.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert whole.headers["Content-Disposition"] == f'attachment; filename="{path}.csv"'
        rows = list(csv.DictReader(io.StringIO(whole.text, newline="")))
        assert [row[name] for row in rows] == await found(client, path)
        assert len(rows) == total
        page = await client.get(f"/api/v1/{path}?limit=2", headers={"Accept": "text/csv"})
        following = await client.get(page.links["next"]["url"], headers={"Accept": "text/csv"})
        assert (page.text + following.text.partition("\r\n")[2]).splitlines() == whole.text.splitlines()[:5]
    [row] = csv.DictReader(io.StringIO((await client.get("/api/v1/requests?request_id=bad&format=csv")).text))
    assert row["metadata"].startswith("{")
    assert row["feedback_pairs"].startswith('[{"value":')
    empty = await client.get("/api/v1/requests?user=nobody&format=csv")
    assert empty.text.startswith("request_id,")
    assert empty.text.count("\r\n") == 1


@pytest.mark.parametrize("path", ["requests", "feedback"])
async def test_a_head_of_a_table_has_no_body(url: str, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    fields = "Host: localhost\r\nConnection: close\r\nAuthorization: Bearer reader"
    writer.write(f"HEAD /api/v1/{path}?format=csv HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"text/csv" in head
    assert body == b""


async def test_a_whole_log_comes_slice_by_slice(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(user) for user in map("many-{}".format, range(501))])
    text = (await client.get("/api/v1/requests?format=csv&provider=openai")).text
    assert text.count("\r\nmany-") == 501
    assert text.startswith("request_id,")
    assert "\r\nrequest_id," not in text


async def test_a_tenant_is_told_nothing_of_others_keys(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/requests?metadata.team=support", headers=key("reader-a"))
    assert answer.json() == {"data": [], "next_cursor": None, "unknown_keys": ["metadata.team"]}
