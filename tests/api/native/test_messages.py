from __future__ import annotations

import base64
import gzip
from typing import Any

import httpx

from gateway.models.exchange import PayloadPolicy
from gateway.store.base import Store

from .conftest import MakeExchange

STREAM = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
EVENT_STREAM = ((b"Content-Type", b"text/event-stream"),)


async def show(client: httpx.AsyncClient, request_id: str) -> Any:
    answer = await client.get(f"/api/v1/requests/{request_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_json_body_is_shown_digit_for_digit(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    body = b'{"seed": 123456789012345678901234567890, "t": 1.10, "deep": ' + b"[" * 500 + b"]" * 500 + b"}"
    await store.append([make_exchange("r", request_body=body)])
    answer = await client.get("/api/v1/requests/r")
    assert body in answer.content
    assert answer.json()["request"]["body"]["encoding"] == "json"


async def test_a_stream_is_shown_raw_and_put_together(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", response_headers=EVENT_STREAM, response_body=STREAM)])
    row = await show(client, "r")
    assert row["is_stream"] is True
    assert row["response"]["body"] == {
        "encoding": "text",
        "content": STREAM.decode(),
        "truncated": False,
        "size": len(STREAM),
    }
    assert row["response"]["reassembled"]["choices"][0]["message"]["content"] == "Hello"


async def test_a_response_that_is_no_stream_has_nothing_to_put_together(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", response_body=b'{"object":"chat.completion"}')])
    response = (await show(client, "r"))["response"]
    assert response["reassembled"] is None
    assert response["body"]["content"] == {"object": "chat.completion"}


async def test_a_compressed_body_is_readable_and_can_be_had_as_it_was(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    headers = ((b"Content-Encoding", b"gzip"), (b"Content-Type", b"application/json"))
    packed = gzip.compress(b'{"answer": 42}')
    await store.append([make_exchange("r", response_headers=headers, response_body=packed)])
    response = (await show(client, "r"))["response"]
    assert response["body"] == {
        "encoding": "json",
        "content": {"answer": 42},
        "truncated": False,
        "size": len(packed),
    }
    raw = await client.get("/api/v1/requests/r?raw=response")
    assert raw.content == packed


async def test_a_binary_body_is_base64(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    binary = bytes(range(256))
    await store.append([make_exchange("r", response_body=binary)])
    body = (await show(client, "r"))["response"]["body"]
    assert body["encoding"] == "base64"
    assert base64.b64decode(body["content"]) == binary


async def test_a_body_that_was_cut_says_so_even_inside_a_character(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    whole = '{"text": "grün"}'.encode()
    cut = whole[: whole.index("ü".encode()) + 1]
    await store.append([make_exchange("r", request_body=cut, request_size=len(whole))])
    body = (await show(client, "r"))["request"]["body"]
    assert body == {"encoding": "text", "content": '{"text": "gr', "truncated": True, "size": len(whole)}


async def test_headers_keep_their_order_spelling_and_number(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    headers = ((b"X-B", b"1"), (b"x-a", "ü".encode()), (b"X-B", b"\xff"))
    await store.append([make_exchange("r", request_headers=headers)])
    assert (await show(client, "r"))["request"]["headers"] == [
        {"name": "X-B", "value": "1"},
        {"name": "x-a", "value": "ü"},
        {"name": "X-B", "value": "\\xff"},
    ]


async def test_where_no_payload_is_kept_the_messages_are_null_and_there_is_nothing_to_download(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", payloads=PayloadPolicy.OFF, request_body=b"secret")])
    row = await show(client, "r")
    assert (row["request"], row["response"]) == (None, None)
    download = await client.get("/api/v1/requests/r?raw=request")
    assert (download.status_code, download.json()["error"]["field"]) == (404, "raw")


async def test_raw_bytes_come_as_a_download_that_no_browser_runs(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    page = b"<script>alert(1)</script>"
    headers = ((b"Content-Type", b"text/html"),)
    await store.append([make_exchange("r", request_body=page, request_headers=headers)])
    answer = await client.get("/api/v1/requests/r?raw=request")
    assert answer.content == page
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")
