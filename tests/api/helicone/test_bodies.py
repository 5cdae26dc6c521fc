"""Bodies in rows: readable where they can be, null where nothing was kept, and never cut."""

from __future__ import annotations

import gzip

import pytest

from gateway.models.exchange import LoggingOptOut

from .served import Served, complaint

CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
STREAM = CHUNK % b"Hel" + CHUNK % b"lo" + b"data: [DONE]\n\n"


async def test_one_request_is_answered_with_its_bodies_only_where_they_are_asked_for(served: Served) -> None:
    await served.log("a/request with spaces")
    path = "/a%2Frequest%20with%20spaces"

    for flag, bodies in {"": (None, None), "?includeBody=false": (None, None)}.items():
        row = (await served.call("GET", path + flag)).json()["data"]
        assert (row["request_body"], row["response_body"]) == bodies
    row = (await served.call("GET", path + "?includeBody=true")).json()["data"]
    assert row["request_body"] == {"model": "gpt-4o", "messages": []}
    assert (await served.call("GET", path + "?includeBody=maybe")).status_code == 400


@pytest.mark.parametrize(
    ("body", "headers", "shown"),
    [
        (b'{"n":12345678901234567890.123}', (), {"n": 12345678901234567890.123}),
        (gzip.compress(b'{"a":"b"}', mtime=0), ((b"content-encoding", b"gzip"),), {"a": "b"}),
        (b"plain text", (), "plain text"),
        (b"\xff\xfe", (), None),
        (b"", (), None),
        (STREAM, ((b"content-type", b"text/event-stream"),), "reassembled"),
    ],
)
async def test_response_bodies_are_shown_readably(
    served: Served, body: bytes, headers: tuple[tuple[bytes, bytes], ...], shown: object
) -> None:
    await served.log("request-1", response_body=body, response_headers=headers)

    [row] = await served.query()

    if shown == "reassembled":
        assert row["response_body"]["choices"][0]["message"]["content"] == "Hello"
    else:
        assert row["response_body"] == shown


async def test_an_omitted_body_is_null_and_the_other_is_shown(served: Served) -> None:
    await served.log("asked", opt_out=LoggingOptOut(request=True))
    await served.log("answered", opt_out=LoggingOptOut(response=True))

    rows = {row["request_id"]: row for row in await served.query()}

    assert (rows["asked"]["request_body"], rows["asked"]["response_body"]["id"]) == (None, "chatcmpl-1")
    assert (rows["answered"]["request_body"]["model"], rows["answered"]["response_body"]) == ("gpt-4o", None)


async def test_more_bodies_than_are_read_at_once_are_refused_not_cut(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await served.log(f"request-{number}", response_body=b'"' + b"x" * 1000 + b'"')
    monkeypatch.setattr("gateway.query.requests.MAX_BODY_BYTES", 2500)

    refused = await served.call("POST", "/query", {"limit": 3})

    assert refused.status_code == 413
    assert "fewer at a time" in complaint(refused)
    assert len(await served.query(limit=2)) == 2
