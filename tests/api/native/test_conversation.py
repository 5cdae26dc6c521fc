"""A request and a session as conversations, the receipt and the command of a request, and a user's page."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.models.clock import now_us
from gateway.models.principal import REDACTED
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key

JSON = ((b"Content-Type", b"application/json"), (b"Authorization", REDACTED.encode()))
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}

Turn = dict[str, Any]


def said(role: str, content: Any, **fields: Any) -> Turn:
    return {"role": role, "content": content, **fields}


def chat(messages: list[Turn], answer: Turn, **given: Any) -> dict[str, Any]:
    asked = {"model": "m", "messages": messages}
    replied = {"choices": [{"message": answer, "finish_reason": "stop"}]}
    return {
        "request_headers": JSON,
        "request_body": json.dumps(asked).encode(),
        "response_headers": JSON,
        "response_body": json.dumps(replied).encode(),
        **given,
    }


async def ask(client: httpx.AsyncClient, path: str, **headers: str) -> Any:
    answer = await client.get(f"/api/v1/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_request_is_shown_in_one_form(
    store: Store, make_exchange: MakeExchange, client: httpx.AsyncClient
) -> None:
    messages = [
        said("system", "Be brief."),
        said("user", [{"type": "text", "text": "What is it?"}, IMAGE]),
        said("assistant", None, tool_calls=[CALL]),
        said("tool", "rain", tool_call_id="c1"),
    ]
    answer = said("assistant", None, refusal="I cannot tell.", reasoning_content="Hmm.")
    await store.append([make_exchange("a/b", **chat(messages, answer)), make_exchange("a/conversation")])
    shown = await ask(client, "requests/a%2Fb/conversation")
    assert [message["role"] for message in shown["input"]] == ["system", "user", "assistant", "tool"]
    assert shown["input"][1]["parts"] == [
        {"type": "text", "content": "What is it?"},
        {"type": "media", "modality": "image", "media_type": None, "uri": "https://example.com/cat.png",
         "file_id": None, "size_bytes": None},
    ]  # fmt: skip
    assert shown["input"][2]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city":"Bonn"}'}
    ]
    assert shown["input"][3]["parts"] == [
        {"type": "tool_result", "id": "c1", "name": None, "content": [{"type": "text", "content": "rain"}]}
    ]
    [output] = shown["output"]
    assert [part["type"] for part in output["parts"]] == ["reasoning", "refusal"]
    assert (output["finish_reason"], shown["is_truncated"]) == ("stop", False)
    assert (await ask(client, "requests/a%2Fconversation"))["request_id"] == "a/conversation"
    assert (await client.get("/api/v1/requests/nothing/conversation")).status_code == 404


async def test_a_receipt_adds_up_and_tells_the_time(
    store: Store, make_exchange: MakeExchange, client: httpx.AsyncClient
) -> None:
    times = {"started_at_us": 10**15, "first_byte_at_us": 10**15 + 200_000, "ended_at_us": 10**15 + 700_000}
    streamed = ((b"Content-Type", b"text/event-stream"),)
    [seq] = await store.append([make_exchange("r", response_headers=streamed, **times)])
    usage = Usage(prompt_tokens=1000, completion_tokens=100, cached_tokens=400, reasoning_tokens=30)
    cost = Cost(600 * 150 + 400 * 75 + 100 * 600, "config")
    await store.annotate([(seq, Facts(model="priced", usage=usage, cost=cost))], now_us())
    receipt = await ask(client, "requests/r/receipt")
    assert [tuple(line.values()) for line in receipt["lines"]] == [
        ("input", 600, 0.15, 90_000),
        ("cached_input", 400, 0.075, 30_000),
        ("output", 70, 0.6, 42_000),
        ("reasoning", 30, 0.6, 18_000),
    ]
    assert (receipt["total_nanousd"], receipt["total_usd"], receipt["note"]) == (180_000, 0.00018, None)
    timing = {
        "latency_ms": 700.0,
        "time_to_first_byte_ms": 200.0,
        "stream_ms": 500.0,
        "tokens_per_second": 200.0,
    }
    assert receipt["timing"] == timing


async def test_a_request_can_be_repeated_by_a_command(
    store: Store, make_exchange: MakeExchange, client: httpx.AsyncClient
) -> None:
    await store.append(
        [
            make_exchange("r", "t/1", **chat([said("user", "it's")], said("assistant", "yes"))),
            make_exchange("long", "t", **chat([said("user", "x" * 20_000)], said("assistant", "yes"))),
            make_exchange("cut", request_body=b"{", request_size=5),
        ]
    )
    answer = await client.get("/api/v1/requests/r/curl")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert lines[0] == f"curl -gsS -X POST {client.base_url}/v1/chat/completions \\"
    assert "  -H 'Authorization: Bearer '\"${GATEWAY_KEY}\" \\" in lines
    assert "it'\"'\"'s" in lines[-1]
    long = (await client.get("/api/v1/requests/long/curl")).text
    assert f"'{client.base_url}/api/v1/requests/long?raw=request&trace_id=t'" in long
    assert long.rstrip().endswith("--data-binary @-")
    refused = await client.get("/api/v1/requests/cut/curl")
    assert (refused.status_code, refused.json()["error"]["field"]) == (404, "request_id")


def texts(messages: list[Any]) -> list[Any]:
    return [part.get("content") or part["name"] for message in messages for part in message["parts"]]


@pytest.fixture
async def session(store: Store, make_exchange: MakeExchange) -> None:
    """A conversation with a tool, an agent beside it, a question asked again, and a shortened history."""
    system = said("system", "Be brief.")
    first = [said("user", "Hi"), said("assistant", "Hello")]
    asked = [*first, said("user", "Weather?")]
    called = [*asked, said("assistant", None, tool_calls=[CALL]), said("tool", "rain", tool_call_id="c1")]
    done = [*called, said("assistant", "It rains."), said("user", "Hi")]
    requests = [
        chat([system, first[0]], first[1]),
        chat([system, *asked], said("assistant", None, tool_calls=[CALL])),
        chat([said("system", "Judge."), said("user", "Is it good?")], said("assistant", "ok")),
        chat([system, *called], said("assistant", "It rains.")),
        chat([system, *done], said("assistant", "Hello again")),
        chat([system, *done], said("assistant", "Welcome back")),
        chat(
            [system, *done[-3:], said("assistant", "Welcome back"), said("user", "Bye")],
            said("assistant", "Bye"),
        ),
    ]
    await store.append(
        [
            make_exchange(
                f"r{n}", f"t{n}", tenant="a", started_at_us=n + 1, metadata={"_session": "s/1"}, **each
            )
            for n, each in enumerate(requests)
        ]
    )


@pytest.mark.usefixtures("session")
async def test_a_session_is_one_conversation_without_repeats(client: httpx.AsyncClient) -> None:
    expected = [
        (["Be brief.", "Hi"], ["Hello"]),
        (["Weather?"], ["weather"]),
        (["Judge.", "Is it good?"], ["ok"]),
        (["rain"], ["It rains."]),
        (["Hi"], ["Hello again"]),
        ([], ["Welcome back"]),
        (["Bye"], ["Bye"]),
    ]
    whole = await ask(client, "sessions/s%2F1/conversation")

    def turns(steps: list[Any]) -> list[tuple[list[str], list[str]]]:
        flat = []
        for step in steps:
            asked = texts(step["asked"])
            asked = ["rain" if isinstance(each, list) else each for each in asked]
            flat.append((asked, texts(step["answered"])))
        return flat

    assert turns(whole["data"]) == expected
    assert [(step["request_id"], step["trace_id"]) for step in whole["data"]] == [
        (f"r{n}", f"t{n}") for n in range(7)
    ]
    assert whole["next_cursor"] is None
    paged: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await ask(client, f"sessions/s%2F1/conversation?limit=2{cursor and f'&cursor={cursor}'}")
        paged += page["data"]
        cursor = page["next_cursor"]
    assert turns(paged) == expected
    for who, status in (("reader-a", 200), ("reader-b", 404)):
        answer = await client.get("/api/v1/sessions/s%2F1/conversation", headers=key(who))
        assert answer.status_code == status


async def test_a_user_has_models_sessions_and_a_first_day(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback, client: httpx.AsyncClient
) -> None:
    seqs = await store.append(
        [
            make_exchange(
                f"r{n}", started_at_us=10**15 + n, metadata={"_user": "ann", "_session": f"s{n % 2}"}
            )
            for n in range(3)
        ]
    )
    models = ("big", "small", "small")
    await store.annotate(
        [
            (seq, Facts(model=model, cost=Cost(10**9, "config")))
            for seq, model in zip(seqs, models, strict=True)
        ],
        now_us(),
    )
    await store.put_feedback(
        [make_feedback("r0", author="ann"), make_feedback("r1", author="bob", score=1.0)]
    )
    ann = await ask(client, "users/ann")
    assert ann["first_seen_at"] == "2001-09-09T01:46:40.000000Z"
    assert ann["models"] == [
        {"model": "small", "requests": 2, "cost_usd": 2.0},
        {"model": "big", "requests": 1, "cost_usd": 1.0},
    ]
    assert [(each["session"], each["requests"]) for each in ann["sessions"]] == [("s0", 2), ("s1", 1)]
    assert (ann["feedback_given"], ann["feedback"]["count"], ann["cost"]["usd"]) == (1, 2, 3.0)
    bob = await ask(client, "users/bob")
    assert (bob["requests"], bob["first_seen_at"], bob["models"], bob["sessions"]) == (0, None, [], [])
