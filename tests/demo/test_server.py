"""What the SDKs never send, and what they hide: raw bytes, wrong paths, callers that leave."""

from __future__ import annotations

import httpx
import pytest

from gateway.demo import DemoUpstream, start_demo


@pytest.mark.parametrize("raw", [b"{", b"[1]", b"\xff", b"[" * 100_000, b""])
async def test_a_body_that_is_no_object_is_refused_in_the_shape_of_its_path(
    demo: DemoUpstream, raw: bytes
) -> None:
    async with httpx.AsyncClient(base_url=demo.base_url) as client:
        chat = await client.post("/chat/completions", content=raw)
        message = await client.post("/messages", content=raw)
    assert [chat.status_code, message.status_code] == [400, 400]
    assert chat.json()["error"].keys() == {"message", "type", "param", "code"}
    assert message.json()["type"] == "error"
    assert message.json()["error"]["type"] == "invalid_request_error"


async def test_a_path_or_method_that_is_not_there_is_refused_in_openais_shape(demo: DemoUpstream) -> None:
    async with httpx.AsyncClient(base_url=demo.base_url) as client:
        path = await client.get("/nowhere")
        method = await client.get("/chat/completions")
    assert path.status_code == 404
    assert path.json()["error"]["message"] == "Invalid URL (GET /v1/nowhere)"
    assert method.status_code == 405
    assert method.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "messages",
    [
        '[{"role":"user"}]',
        "[7,null,[]]",
        '[{"role":"user","content":[{"type":"image_url"},null,3,"\\ud800"]}]',
    ],
)
async def test_messages_of_odd_shapes_get_a_reply_all_the_same(demo: DemoUpstream, messages: str) -> None:
    async with httpx.AsyncClient(base_url=demo.base_url) as client:
        answer = await client.post("/chat/completions", content=f'{{"model":"m","messages":{messages}}}')
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].startswith("Hello from the demo!")


async def test_a_stream_ends_with_done_and_each_event_is_one_line(demo: DemoUpstream) -> None:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "two\nlines"}]}
    async with httpx.AsyncClient(base_url=demo.base_url) as client:
        answer = await client.post("/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: {") and "\n" not in event for event in events)


async def test_a_caller_that_leaves_does_not_harm_the_next() -> None:
    demo = await start_demo(pause_seconds=0.005)
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with httpx.AsyncClient(base_url=demo.base_url) as client:
        async with client.stream("POST", "/chat/completions", json=body) as answer:
            async for _ in answer.aiter_bytes():
                break
        assert (await client.post("/chat/completions", json=body | {"stream": False})).status_code == 200
    await demo.close()


async def test_a_port_that_is_taken_is_an_error_of_the_system(demo: DemoUpstream) -> None:
    port = httpx.URL(demo.base_url).port
    assert port is not None
    with pytest.raises(OSError, match="address already in use"):
        await start_demo(port=port)
