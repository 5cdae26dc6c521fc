"""Search by ids and by words, over SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import BadInput
from gateway.models.clock import now_us
from gateway.models.feedback import Kind, Target
from gateway.models.filters import NO_FILTER
from gateway.models.request import Facts
from gateway.query import search
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.search import SearchReader, Words
from gateway.store import open_store
from gateway.store.base import Store
from gateway.wire.content_encoding import decode_or_raw

from .conftest import MakeExchange, MakeFeedback, key

HOUR_US = 3_600_000_000
GZIPPED = ((b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip"))
STREAMED = ((b"Content-Type", b"text/event-stream"),)


def bodies(question: str, answer: str, *, is_ascii: bool = False) -> dict[str, Any]:
    asked = {"model": "m", "messages": [{"role": "user", "content": question}]}
    said = {"choices": [{"message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}]}
    return {
        "request_body": json.dumps(asked, ensure_ascii=is_ascii).encode(),
        "response_headers": GZIPPED,
        "response_body": gzip.compress(json.dumps(said, ensure_ascii=is_ascii).encode()),
    }


def stream(*pieces: str) -> dict[str, Any]:
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return {"response_headers": STREAMED, "response_body": text.encode(), "request_body": b"{}"}


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    sqlite = f"sqlite:///{tmp_path}/gateway.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    store = await open_store(url, decode_or_raw)
    yield store
    await store.close()


async def ask(client: httpx.AsyncClient, reader: str | None = None, **params: Any) -> dict[str, Any]:
    headers = None if reader is None else key(reader)
    answer = await client.get("/api/v1/search", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def names(reply: dict[str, Any]) -> list[str]:
    return [hit["request"]["request_id"] for hit in reply["data"]]


@pytest.fixture
async def conversations(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> None:
    seqs = await store.append(
        [
            make_exchange("straße", **bodies("Wo liegt die Große STRASSE?", "Im Süden.", is_ascii=True)),
            make_exchange(
                "plain", tenant="a", metadata={"team": "x"}, **bodies("Is it raining?", "No, it is dry.")
            ),
            make_exchange("streamed", tenant="a", **stream("It is ra", "ining cats", " and dogs")),
            make_exchange("silent", tenant="b"),
            make_exchange("commented", "trace c", tenant="b", metadata={"_session": "chat", "_user": "ann"}),
        ]
    )
    await store.annotate([(seq, Facts(response_id=f"resp-{seq}")) for seq in seqs], now_us())
    await store.put_feedback(
        [
            make_feedback(
                "trace c", feedback_id="0190a000-0000-7000-8000-000000000001", tenant="b", kind=Kind.COMMENT,
                comment="It should say: RAINING all day", target=Target.TRACE, author="bob",
            ),
            make_feedback("trace c", tenant="b", comment="nothing to see", target=Target.TRACE),
        ]
    )  # fmt: skip


@pytest.mark.usefixtures("conversations")
async def test_words_are_found_in_question_answer_and_comment(client: httpx.AsyncClient) -> None:
    reply = await ask(client, q="Raining")
    assert [(hit["request"]["request_id"], hit["matches"][0]["place"]) for hit in reply["data"]] == [
        ("commented", "comment"),
        ("streamed", "answer"),
        ("plain", "question"),
    ]
    [match] = reply["data"][0]["matches"]
    assert (match["before"], match["match"], match["after"]) == ("It should say: ", "RAINING", " all day")
    assert match["feedback_id"] == "0190a000-0000-7000-8000-000000000001"
    assert reply["data"][0]["request"]["feedback_count"] == 2
    assert (reply["is_complete"], reply["next_cursor"], reply["searched"], reply["ids"]) == (
        True,
        None,
        5,
        [],
    )
    assert reply["searched_from"] == "2023-11-14T22:13:20.000000Z"

    [german] = (await ask(client, q="große straße"))["data"]
    assert german["matches"][0]["match"] == "Große"
    assert names(await ask(client, q='"raining cats"')) == ["streamed"]
    assert names(await ask(client, q="cats raining")) == ["streamed"]
    assert names(await ask(client, q="cats dry")) == []
    narrowed = await ask(client, q="raining", **{"metadata.team": "x"})
    assert (names(narrowed), narrowed["searched"]) == (["plain"], 1)
    assert (await ask(client, q="raining", **{"metadata.tem": "x"}))["unknown_keys"] == ["metadata.tem"]


@pytest.mark.usefixtures("conversations")
async def test_a_tenant_finds_its_own_alone(client: httpx.AsyncClient) -> None:
    for name, seen in (("reader-a", ["streamed", "plain"]), ("reader-b", ["commented"])):
        answer = await client.get("/api/v1/search?q=raining", headers=key(name))
        assert names(answer.json()) == seen
    assert (await client.get("/api/v1/search?q=chat", headers=key("reader-a"))).json()["ids"] == []
    assert (await client.get("/api/v1/search?q=chat", headers=key("voter"))).status_code == 403


@pytest.mark.usefixtures("conversations")
async def test_any_id_says_what_it_is_and_leads_there(client: httpx.AsyncClient) -> None:
    response_id = (await ask(client, q="raining"))["data"][0]["request"]["response_id"]
    expected = {
        "trace c": ["trace"],
        "commented": ["request"],
        response_id: ["response"],
        "chat": ["session"],
        "ann": ["user"],
        "bob": ["user"],
        "0190a000-0000-7000-8000-000000000001": ["feedback"],
        "nobody": [],
    }
    for text, kinds in expected.items():
        found = (await ask(client, q=text))["ids"]
        assert [each["kind"] for each in found] == kinds
        for each in found:
            assert (await client.get(each["path"])).status_code == 200, each


async def test_comments_that_wait_for_their_request_are_found_apart(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback, client: httpx.AsyncClient
) -> None:
    await store.append([make_exchange("logged", tenant="a"), make_exchange("other", tenant="a")])
    await store.put_feedback(
        [
            make_feedback("soon", feedback_id="first", comment="a LOST order", tenant="a"),
            make_feedback(
                "soon", feedback_id="second", comment="lost again", created_at_us=now_us(), tenant="a"
            ),
            make_feedback("later", comment="found again", tenant="a"),
            make_feedback("soon", comment="lost by another", tenant="b"),
            make_feedback("logged", comment="lost and logged", target=Target.REQUEST, tenant="a"),
        ]
    )
    lost = {"q": "lost", "reader": "reader-a"}
    found = await ask(client, **lost)
    assert [(each["feedback_id"], each["id"], each["match"]) for each in found["waiting"]] == [
        ("second", "soon", "lost"),
        ("first", "soon", "LOST"),
    ]
    assert names(found) == ["logged"]
    latest = await ask(client, **lost, **{"from": "1h"})
    assert [each["feedback_id"] for each in latest["waiting"]] == ["second"]
    # What waits has no provider, and is on the first page alone.
    assert (await ask(client, **lost, provider="openai"))["waiting"] == []
    assert (await ask(client, **lost, cursor="2"))["waiting"] == []


async def test_the_cursor_goes_on_where_the_time_ended(
    store: Store, make_exchange: MakeExchange, client: httpx.AsyncClient
) -> None:
    await store.append([make_exchange(f"r{n}", **bodies(f"number {n}", "found")) for n in range(40)])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    rounds = 0
    while True:
        reply = await ask(client, q="found", limit=100, time_limit_ms=1, **cursor)
        seen += names(reply)
        rounds += 1
        assert reply["searched"] >= 1
        if reply["is_complete"]:
            break
        cursor = {"cursor": reply["next_cursor"]}
    assert seen == [f"r{n}" for n in range(39, -1, -1)]
    assert rounds > 3
    limited = await ask(client, q="found", limit=7)
    assert (len(limited["data"]), limited["searched"], limited["is_complete"]) == (7, 7, False)


async def test_nothing_is_read_that_was_stored_before_the_time_asked_for(
    store: Store, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_FIRST_WINDOW", 2)
    old = await store.append([make_exchange(**bodies("x", "y")) for _ in range(100)])
    await store.annotate([(seq, Facts()) for seq in old], 1_700_000_001_000_000)
    [new] = await store.append([make_exchange("new", started_at_us=now_us(), **bodies("x", "y"))])
    await store.annotate([(new, Facts())], now_us())
    reader = SearchReader(store, 30.0)
    found = await reader.find_words(
        Words.parse("x"), REQUEST_FILTERS.to_filter([("from", "1h")]), 5, None, None, 30.0
    )
    assert [hit.record.request_id for hit in found.hits] == ["new"]
    assert found.is_complete
    assert found.searched_from_us == 1_700_000_000_000_000


async def test_a_search_stops_when_its_caller_leaves(
    store: Store, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.append([make_exchange(**bodies("x", "y")) for _ in range(50)])
    begun, may_go_on, looked_at = threading.Event(), threading.Event(), []

    def match(*args: Any) -> Any:
        looked_at.append(args)
        begun.set()
        may_go_on.wait(10)
        return iter(())

    monkeypatch.setattr(search, "_match_texts", match)
    reader = SearchReader(store, 30.0)
    task = asyncio.create_task(reader.find_words(Words.parse("x"), NO_FILTER, 5, None, None, 30.0))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    monkeypatch.undo()
    # Its place is free again, and it has looked at no further row.
    for _ in range(search.MAX_SEARCHES + 1):
        await reader.find_words(Words.parse("x"), NO_FILTER, 5, None, None, 30.0)
    assert len(looked_at) == 1


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("", "q"),
        ("q=", "q"),
        ("q=" + "x" * 501, "q"),
        ("q=x&limit=101", "limit"),
        ("q=x&time_limit_ms=30001", "time_limit_ms"),
        ("q=x&colour=red", "colour"),
        ("q=x&cursor=abc", "cursor"),
    ],
)
async def test_a_bad_query_is_refused_by_name(client: httpx.AsyncClient, query: str, complaint: str) -> None:
    answer = await client.get(f"/api/v1/search?{query}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, complaint)


def test_words_are_cut_around_their_first_match() -> None:
    snippet = Words.parse("needle").find("ß" * 100 + "NEEDLE" + "y" * 200)
    assert snippet is not None
    assert (snippet.before, snippet.match, snippet.after) == ("…" + "ß" * 60, "NEEDLE", "y" * 140 + "…")
    assert Words.parse("ss").find("ß") is not None
    assert Words.parse("a b").find("only a") is None
    with pytest.raises(BadInput, match="at most 20"):
        Words.parse(" ".join(map(str, range(21))))
    assert Words.parse("kiss").may_be_in(b'{"text": "Ki\\u017fs"}')
    assert not Words.parse("kiss").may_be_in(b'{"text": "kick"}')


def test_what_a_stream_cannot_contain_is_not_read() -> None:
    pieces = stream("ki", "ss Me", ' "and\\n', "leave")["response_body"]
    for words, may in (("kissme", False), ("ME kiss leave", True), ("meleave", False), ("content", False)):
        assert Words.parse(words).may_be_in_stream("chat.completions", pieces) is may
    # Of other streams, and of several choices, nothing is known.
    assert Words.parse("x").may_be_in_stream("responses", pieces)
    two = b'data: {"choices":[{"delta":{"content":"ki"},"index":0}]}\n\n'
    assert not Words.parse("x").may_be_in_stream("chat.completions", two)
    assert Words.parse("x").may_be_in_stream("chat.completions", two + two.replace(b":0", b":1"))
    events = (
        b'event: content_block_delta\ndata: {"index":1,"delta":{"type":"text_delta","text":"ab"}}\n\n' * 2
    )
    assert Words.parse("abab").may_be_in_stream("messages", events)
