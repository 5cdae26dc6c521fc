"""What a caller keeps out of the log: one side or both, and nothing else."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, payload, query, row
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

CHAT = b'{"model":"m","user":"ann","messages":[{"role":"user","content":"a private question"}]}'
REPLY = (
    b'{"id":"chatcmpl-omitted","model":"m-2","choices":[{"message":{"role":"assistant","content":'
    b'"a private answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
)
OMIT = {"request": b"Helicone-Omit-Request: true", "response": b"Helicone-Omit-Response: true"}


def asked(gateway: RunningGateway, upstream: UpstreamProcess, trace: str, *fields: bytes) -> sqlite3.Row:
    """The row of a chat with these fields, once it has been interpreted."""
    script = upstream.script(*answer(REPLY, b"X-Private: a private header"))
    fields = (script, b"x-portkey-trace-id: " + trace.encode(), b"X-Private: a private header", *fields)
    answered = call(gateway.port, request(b"POST", b"/v1/chat/completions", *fields, body=CHAT))
    assert (answered.status, answered.body) == (200, REPLY)
    return eventually(lambda: [one for one in [row(gateway.database, trace)] if one["interpreted_at_us"]])[0]


@pytest.mark.parametrize("sides", [("request",), ("response",), ("request", "response")])
def test_of_an_omitted_side_neither_head_nor_body_is_kept(
    gateway: RunningGateway, upstream: UpstreamProcess, sides: tuple[str, ...]
) -> None:
    found = asked(gateway, upstream, f"omitted-{'-'.join(sides)}", *(OMIT[side] for side in sides))

    stored = payload(gateway.database, found["seq"])
    assert stored is not None
    heads = {"request": stored.request_headers, "response": stored.response_headers}
    bodies = {"request": stored.request_body, "response": stored.response_body}
    for side, sent in {"request": CHAT, "response": REPLY}.items():
        assert bodies[side] == (b"" if side in sides else sent)
        assert (heads[side] == ()) is (side in sides)
    [columns] = query(gateway.database, "SELECT * FROM payloads WHERE seq = ?", found["seq"])
    kept = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in columns)
    assert kept.count(b"a private header") == 2 - len(sides)


def test_an_omitted_call_is_understood_rated_and_found_all_the_same(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    found = asked(gateway, upstream, "omitted-rated", *OMIT.values())

    assert (found["requested_model"], found["model"], found["response_id"]) == (
        "m",
        "m-2",
        "chatcmpl-omitted",
    )
    assert (found["prompt_tokens"], found["completion_tokens"], found["user"]) == (3, 4, "ann")
    assert (found["request_size"], found["response_size"]) == (len(CHAT), len(REPLY))
    rating = f"{gateway.url}/v1/request/{found['request_id']}/feedback"
    httpx.post(rating, json={"rating": True}).raise_for_status()
    tree = {"request": {"id": {"equals": found["request_id"]}}, "feedback": {"rating": {"equals": True}}}
    answered = httpx.post(f"{gateway.url}/v1/request/query", json={"filter": tree})
    shown: list[dict[str, Any]] = answered.json()["data"]
    assert [(one["request_body"], one["response_body"], one["total_tokens"]) for one in shown] == [
        (None, None, 7)
    ]
