"""A provider that is asked for token counts in streams on behalf of callers who did not ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, payload, query, row, wait_for_row
from tests.raw_http import Connection, Response, call, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, head, wait
from tests.scripted_upstream import chunk as send_chunk

MIB = 1024 * 1024
CHUNKED = b"Transfer-Encoding: chunked"
JSON = b"Content-Type: application/json"
QUESTION: Any = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
ASKED = {**QUESTION, "stream_options": {"include_usage": True}}
WITH_USAGE = b'{"stream_options":{"include_usage":true},'


def event(choices: list[Any], usage: object = None) -> bytes:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps({**chunk, "usage": usage}).encode() + b"\n\n"


EVENTS = [
    event([{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]),
    event([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
]
USAGE = event([], {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})
DONE = b"data: [DONE]\n\n"
STREAM = b"".join([*EVENTS, USAGE, DONE])
SHOWN = b"".join([*EVENTS, DONE])


@pytest.fixture(scope="module")
def asking(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with two providers, of which one is asked for usage."""
    base_url = f"{upstream.url}/v1"
    config = {
        "default_provider": "asked",
        "providers": {
            "asked": {"base_url": base_url, "include_usage": True},
            "other": {"base_url": base_url},
        },
        "keys": [
            {"name": "app", "key": "app-key", "role": "proxy"},
            {"name": "few", "key": "few-key", "role": "proxy", "limits": ["10 tokens/month"]},
        ],
    }
    with RunningGateway(tmp_path_factory.mktemp("usage"), config) as running:
        yield running


def ask(
    gateway: RunningGateway,
    *fields: bytes,
    body: bytes,
    path: bytes = b"/v1/chat/completions",
    is_chunked: bool = False,
) -> Response:
    head = b"x-api-key: app-key", b"Accept-Encoding: gzip", JSON
    return call(gateway.port, request(b"POST", path, *head, *fields, body=body, is_chunked=is_chunked))


def traced(name: str) -> bytes:
    return b"x-portkey-trace-id: " + name.encode()


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("endpoint", [b"chat/completions", b"completions"])
def test_a_stream_has_its_tokens_and_the_caller_sees_what_it_asked_for(
    asking: RunningGateway, upstream: UpstreamProcess, endpoint: bytes, is_chunked: bool
) -> None:
    upstream.take()
    upstream.default(*answer(STREAM, EVENT_STREAM))
    body = json.dumps(QUESTION).encode()
    trace = f"usage-{endpoint.decode()}-{is_chunked}"
    got = ask(asking, traced(trace), body=body, path=b"/v1/" + endpoint, is_chunked=is_chunked)
    assert (got.status, got.body) == (200, SHOWN)
    assert not got.values(b"content-length")

    [received] = upstream.take()
    sent = WITH_USAGE + body[1:]
    assert received.body == sent
    assert received.values(b"accept-encoding") == [b"identity"]
    assert received.values(b"content-length") == ([] if is_chunked else [b"%d" % len(sent)])

    eventually(lambda: row(asking.database, trace)["interpreted_at_us"])
    logged = row(asking.database, trace)
    assert (logged["prompt_tokens"], logged["completion_tokens"], logged["finish_reason"]) == (9, 3, "stop")
    kept = payload(asking.database, logged["seq"])
    assert kept is not None
    assert (kept.request_body, kept.response_body) == (body, STREAM)


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (b"/v1/chat/completions", ASKED, ()),
        (b"/other/v1/chat/completions", QUESTION, ()),
        (b"/v1/responses", QUESTION, ()),
        (b"/v1/chat/completions", QUESTION, (b"Content-Encoding: gzip",)),
        (b"/v1/chat/completions", {**QUESTION, "stream": False}, ()),
    ],
    ids=["asked", "another provider", "another endpoint", "packed", "no stream"],
)
def test_whoever_asks_or_cannot_ask_gets_every_byte(
    asking: RunningGateway, upstream: UpstreamProcess, path: bytes, body: object, fields: tuple[bytes, ...]
) -> None:
    upstream.take()
    upstream.default(*answer(STREAM, EVENT_STREAM))
    written = json.dumps(body).encode()
    got = ask(asking, *fields, body=written, path=path)
    assert (got.body, got.value(b"content-length")) == (STREAM, b"%d" % len(STREAM))
    [received] = upstream.take()
    assert (received.body, received.values(b"accept-encoding")) == (written, [b"gzip"])


@pytest.mark.parametrize("fields", [(JSON,), (EVENT_STREAM, b"Content-Encoding: gzip")])
def test_an_answer_that_is_no_stream_to_be_read_passes_untouched(
    asking: RunningGateway, upstream: UpstreamProcess, fields: tuple[bytes, ...]
) -> None:
    upstream.default(*answer(STREAM, *fields))
    got = ask(asking, body=json.dumps(QUESTION).encode())
    assert (got.body, got.value(b"content-length")) == (STREAM, b"%d" % len(STREAM))


def test_a_stream_of_nothing_keeps_its_length(asking: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.default(*answer(b"", EVENT_STREAM))
    got = ask(asking, body=json.dumps(QUESTION).encode())
    assert (got.body, got.value(b"content-length")) == (b"", b"0")


@pytest.mark.parametrize("size", [100_000, 9 * MIB])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_long_question_is_asked_whole(
    asking: RunningGateway, upstream: UpstreamProcess, size: int, is_chunked: bool
) -> None:
    upstream.take()
    upstream.default(*answer(STREAM, EVENT_STREAM))
    body = json.dumps({**QUESTION, "messages": [{"role": "user", "content": "x" * size}]}).encode()
    got = ask(asking, body=body, is_chunked=is_chunked)
    [received] = upstream.take()
    # Beyond 8 MiB a body goes on as it comes.
    is_edited = size < 8 * MIB
    assert received.size == len(body) + (len(WITH_USAGE) - 1) * is_edited
    assert got.body == (SHOWN if is_edited else STREAM)


def test_each_event_reaches_the_caller_before_the_provider_sends_the_next(
    asking: RunningGateway, upstream: UpstreamProcess
) -> None:
    shown = [*EVENTS, DONE]
    gates = [upstream.name() for _ in shown]
    script = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED)]
    for piece, gate in zip(shown, gates, strict=True):
        script += [*([send_chunk(USAGE)] if piece == DONE else []), send_chunk(piece), wait(gate)]
    fields = upstream.script(*script, send_chunk(b"")), b"x-api-key: app-key"
    with Connection(asking.port) as caller:
        caller.send(request(b"POST", b"/v1/chat/completions", *fields, body=json.dumps(QUESTION).encode()))
        assert caller.head().status == 200
        for piece, gate in zip(shown, gates, strict=True):
            assert caller.chunk() == piece
            upstream.open(gate)
        assert caller.chunk() == b""


def test_a_caller_that_leaves_while_it_asks_is_logged(asking: RunningGateway) -> None:
    body = json.dumps(QUESTION).encode()
    fields = traced("leaving"), b"x-api-key: app-key", b"Content-Length: %d" % (len(body) + 1)
    with Connection(asking.port) as caller:
        caller.send(request(b"POST", b"/v1/chat/completions", *fields) + body)
    assert wait_for_row(asking.database, "leaving")["outcome"] == "client_closed"


def test_limits_in_tokens_see_such_streams(asking: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.default(*answer(STREAM, EVENT_STREAM))
    with openai.OpenAI(base_url=f"{asking.url}/v1", api_key="few-key", max_retries=0) as client:

        def is_refused() -> bool:
            try:
                list(client.chat.completions.create(**QUESTION))
            except openai.RateLimitError:
                return True
            return False

        assert not is_refused()
        eventually(is_refused)
    assert query(asking.database, "SELECT 1 FROM requests WHERE key_name = 'few'")


def test_openai_s_sdk_reads_its_streams(asking: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.default(READ, head(b"200 OK", EVENT_STREAM, CHUNKED), send_chunk(STREAM), send_chunk(b""))
    with openai.OpenAI(base_url=f"{asking.url}/v1", api_key="app-key", max_retries=0) as client:
        chunks = list(client.chat.completions.create(**QUESTION))
        assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, "stop"]
        asked = list(client.chat.completions.create(**ASKED))
        assert [len(chunk.choices) for chunk in asked] == [1, 1, 0]
        assert asked[-1].usage is not None
        with client.chat.completions.stream(model="m", messages=QUESTION["messages"]) as stream:
            assert stream.get_final_completion().choices[0].message.content == "Hi"
