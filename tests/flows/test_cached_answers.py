"""Answers that a real gateway with two workers gives again: which, to whom, for how long, and what is logged."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.models.ids import new_id
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, rows, wait_for_row, wait_until_interpreted
from tests.raw_http import Connection, Response, request
from tests.scripted_upstream import CLOSE, EVENT_STREAM, READ, UpstreamProcess, answer, chunk, head
from tests.upstream_server import Step

CHUNKED = b"Transfer-Encoding: chunked"
JSON = b"Content-Type: application/json"
CHAT = b"/v1/chat/completions"
KEYS = {name: f"gw-{name}-0123456789" for name in ("north", "north-2", "south", "admin", "quiet")}

EVENTS = (
    b'data: {"id":"chatcmpl-7","model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n',
    b'data: {"id":"chatcmpl-7","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n',
    b'data: {"id":"chatcmpl-7","model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1000,"completion_tokens":100}}\n\n',
    b"data: [DONE]\n\n",
)
REPLY = (
    b'{"id":"chatcmpl-8","model":"gpt-4o","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",'
    b'"content":"Hi"}}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}'
)


@pytest.fixture(scope="module")
def caching(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with two workers, and keys of two tenants, whose routes cache."""
    one = {"base_url": f"{upstream.url}/v1", "headers": {"x-script": "cached"}}
    keys = [
        {"name": name, "key": key, "role": "proxy", "tenant": name.partition("-")[0]}
        for name, key in KEYS.items()
        if name != "admin"
    ]
    config = {
        "server": {"workers": 2},
        "default_provider": "one",
        "providers": {"one": one, "down": {"base_url": f"http://127.0.0.1:{closed_port()}/v1"}},
        "routes": {"cached": {"cache": {"mode": "simple", "max_age": 600}}},
        "keys": [
            *(each | ({"payloads": "redacted"} if each["name"] == "quiet" else {}) for each in keys),
            {"name": "admin", "key": KEYS["admin"], "role": ["feedback", "read"]},
        ],
    }
    with RunningGateway(tmp_path_factory.mktemp("caching"), config) as running:
        yield running


class Caller:
    """Asks one question of its own again and again, each time on a new connection."""

    _numbers = itertools.count()

    def __init__(self, gateway: RunningGateway, upstream: UpstreamProcess) -> None:
        self.gateway, self.upstream = gateway, upstream
        self.number = next(self._numbers)
        upstream.take()

    def play(self, *steps: Step) -> None:
        self.upstream._order({"script": "cached", "steps": steps})

    def ask(
        self,
        *fields: bytes,
        key: str = "north",
        path: bytes = CHAT,
        config: Any = "cached",
        trace: str = "t",
        **more: Any,
    ) -> Response:
        body = json.dumps({"model": "gpt-4o", "number": self.number, "stream": True, **more}).encode()
        route = config if isinstance(config, str) else json.dumps(config)
        own = [f"x-portkey-{name}: {text}".encode() for name, text in
               {"api-key": KEYS[key], "config": route, "trace-id": trace}.items()]  # fmt: skip
        with Connection(self.gateway.port) as connection:
            return connection.call(request(b"POST", path, *own, JSON, *fields, body=body))

    def status(self, *fields: bytes, **others: Any) -> str:
        return self.ask(*fields, **others).value(b"x-portkey-cache-status").decode()

    def statuses(self, *fields: bytes, **others: Any) -> set[str]:
        """Ask so often that both workers answer."""
        return {self.status(*fields, **others) for _ in range(8)}

    def keep(self, *fields: bytes, trace: str, **others: Any) -> None:
        """Ask until the store has the answer, which then both workers give again."""
        assert self.status(*fields, trace=trace, **others) == "MISS"
        kept = "SELECT 1 FROM cached_answers WHERE trace_id = ?"
        eventually(lambda: len(query(self.gateway.database, kept, trace)) == 1)

    def wait_for(self, status: str) -> None:
        """Ask until both workers say so."""
        eventually(lambda: self.statuses() == {status})

    def asked(self) -> int:
        return len(self.upstream.take())


@pytest.fixture
def caller(caching: RunningGateway, upstream: UpstreamProcess) -> Caller:
    caller = Caller(caching, upstream)
    caller.play(*answer(REPLY, JSON))
    return caller


def stream(*events: bytes, end: bytes | None = b"") -> list[Step]:
    steps = [
        READ,
        head(b"200 OK", EVENT_STREAM, CHUNKED, b"Set-Cookie: a=b", b"X-RateLimit-Limit: 9"),
        *map(chunk, events),
    ]
    return [*steps, CLOSE] if end is None else [*steps, chunk(end)]


def test_a_stream_is_given_again_byte_for_byte_by_each_worker(caller: Caller) -> None:
    # Broken into other pieces than its events.
    whole = b"".join(EVENTS)
    caller.play(*stream(whole[:50], whole[50:300], whole[300:]))
    first, again = f"first-{new_id()}", f"again-{new_id()}"
    caller.keep(trace=first)
    assert caller.statuses(trace=again) == {"HIT"}
    hit = caller.ask(trace=again)
    assert hit.body == whole
    assert hit.value(b"content-type") == b"text/event-stream"
    assert hit.value(b"x-portkey-provider") == b"one"
    assert (hit.value(b"age"), hit.values(b"set-cookie"), hit.values(b"x-ratelimit-limit")) == (b"0", [], [])
    with Connection(caller.gateway.port) as connection:
        body = json.dumps({"model": "gpt-4o", "number": caller.number, "stream": True}).encode()
        fields = (b"x-portkey-config: cached", f"x-portkey-api-key: {KEYS['north']}".encode(), JSON)
        connection.send(request(b"POST", CHAT, *fields, body=body))
        connection.head()
        assert [connection.chunk() for _ in EVENTS] == [*EVENTS]
    database = caller.gateway.database
    wait_until_interpreted(database)
    [source] = rows(database, first)
    assert (source["cache_status"], source["cache_source_request_id"]) == ("miss", None)
    assert source["cost_nanousd"] > 0
    given = rows(database, again)
    assert {row["cache_status"] for row in given} == {"hit"}
    last = given[-1]
    assert (last["cache_status"], last["cache_source_request_id"]) == ("hit", source["request_id"])
    assert (last["cost_nanousd"], last["completion_tokens"], last["response_id"]) == (0, 100, None)
    assert (last["status"], last["outcome"], last["is_stream"]) == (200, "complete", 1)


def test_only_equal_requests_of_one_key_get_the_same_answer(caller: Caller) -> None:
    caller.ask()
    assert caller.ask().body == REPLY
    one, other = b'x-portkey-metadata: {"_user": "1"}', b'x-portkey-metadata: {"_user": "2"}'
    space = b"x-portkey-cache-namespace: a"
    different: list[tuple[tuple[bytes, ...], dict[str, Any]]] = [
        ((), {"key": "south"}),
        ((), {"key": "north-2"}),
        ((), {"path": CHAT + b"?a=b"}),
        ((), {"temperature": 1}),
        ((), {"config": {"cache": {"mode": "simple"}, "override_params": {"model": "other"}}}),
        ((), {"config": {"cache": {"mode": "simple"}, "api_key": "sk-another-0123456789"}}),
        ((one,), {}),
        ((other,), {}),
        ((space,), {}),
        ((b"Accept-Encoding: gzip",), {}),
        ((b"OpenAI-Organization: o",), {}),
    ]
    caller.asked()
    assert [caller.status(*fields, **others) for fields, others in different] == ["MISS"] * len(different)
    assert caller.asked() == len(different)
    eventually(lambda: caller.statuses(one) == {"HIT"})
    # A namespace counts in place of the metadata.
    eventually(lambda: caller.statuses(space, other) == {"HIT"})
    # What follows no other provider's words: ids, agents, retries.
    assert caller.status(b"User-Agent: other", b"x-request-id: 1", trace="other") == "HIT"


def test_a_caller_can_have_the_answer_fetched_anew(caller: Caller) -> None:
    caller.ask()
    caller.wait_for("HIT")
    caller.play(*answer(b'{"choices":[{"index":0,"finish_reason":"stop"}]}', JSON))
    assert caller.status(b"x-portkey-cache-force-refresh: false") == "HIT"
    refreshed = caller.ask(b"x-portkey-cache-force-refresh: true", trace="refreshed")
    assert refreshed.value(b"x-portkey-cache-status") == b"REFRESH"
    eventually(lambda: {caller.ask().body for _ in range(6)} == {refreshed.body})
    assert rows(caller.gateway.database, "refreshed")[-1]["cache_status"] == "refresh"


def make_older(database: Path, trace_id: str) -> int:
    """Have the answer of a trace kept for a minute longer; return how many there are."""
    update = "UPDATE cached_answers SET created_at_us = created_at_us - 60100000 WHERE trace_id = ?"
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        return connection.execute(update, (trace_id,)).rowcount


def test_an_answer_that_is_too_old_is_fetched_anew(caller: Caller) -> None:
    first = f"old-{new_id()}"
    caller.keep(trace=first)
    assert caller.statuses() == {"HIT"}
    assert make_older(caller.gateway.database, first) == 1
    shorter = {"cache": {"mode": "simple", "max_age": 60, "write": False}}
    eventually(lambda: caller.statuses(config=shorter) == {"MISS"})
    assert caller.statuses() == {"HIT"}


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ((b"x-portkey-debug: false",), {}),
        ((b"Helicone-Omit-Response: true",), {}),
        ((), {"key": "quiet"}),
        ((), {"path": b"/v1/responses", "background": True}),
        ((), {"path": b"/v1/images/edits"}),
        ((), {"path": b"/v1/files"}),
        ((), {"config": {"provider": "one", "retry": {"attempts": 0}}}),
    ],
)
def test_what_may_not_be_kept_is_not_cached(
    caller: Caller, fields: tuple[bytes, ...], given: dict[str, Any]
) -> None:
    assert [caller.status(*fields, **given) for _ in range(2)] == ["DISABLED", "DISABLED"]
    assert caller.asked() == 2


def test_answers_that_failed_or_broke_off_are_not_cached(caller: Caller) -> None:
    failed = b'data: {"error":{"message":"The engine died","type":"server_error"}}\n\n'
    for steps in (
        answer(b"{}", JSON, status=b"500 No"),
        answer(REPLY, JSON, status=b"201 Made"),
        answer(b'{"error":{"message":"no","type":"overloaded_error"}}', JSON),
        stream(*EVENTS[:2]),
        stream(EVENTS[0], failed),
    ):
        caller.play(*steps)
        assert caller.ask().value(b"x-portkey-cache-status") == b"MISS"
    caller.play(*stream(*EVENTS[:2], end=None))
    with pytest.raises(Exception, match="broken off"):
        caller.ask()
    caller.play(*answer(REPLY, JSON))
    assert caller.status() == "MISS"
    assert caller.asked() == 7


def test_a_cache_may_be_only_read_or_only_written(caller: Caller) -> None:
    only_read = {"cache": {"mode": "simple", "write": False}}
    only_written = {"cache": {"mode": "semantic", "read": False}}
    assert [caller.status(config=only_read) for _ in range(2)] == ["MISS", "MISS"]
    assert [caller.status(config=only_written) for _ in range(2)] == ["MISS", "MISS"]
    eventually(lambda: caller.statuses(config=only_read) == {"HIT"})
    assert caller.asked() >= 4


def test_a_hit_is_the_target_s_answer_and_nothing_is_attempted(caller: Caller) -> None:
    targets = [{"provider": "down"}, {"provider": "one"}]
    route = {"strategy": {"mode": "fallback"}, "targets": targets, "cache": {"mode": "simple"}}
    trace = f"fallback-{new_id()}"
    assert caller.status(config=route) == "MISS"
    hit = caller.ask(config=route, trace=trace)
    assert (hit.status, hit.body, hit.value(b"x-portkey-cache-status")) == (200, REPLY, b"HIT")
    assert hit.value(b"x-portkey-last-used-option-index") == b"config.targets[1]"
    eventually(lambda: len(rows(caller.gateway.database, trace)) == 2)
    told = [(row["provider"], row["cache_status"]) for row in rows(caller.gateway.database, trace)]
    assert told == [("down", "miss"), ("one", "hit")]
    # A hit needs no upstream at all.
    assert caller.asked() == 1


def feedback_of(dialect: str, trace: str, request_id: str, *, is_good: bool) -> tuple[str, dict[str, Any]]:
    """The path and body of feedback in a dialect."""
    if dialect == "portkey":
        return "/v1/feedback", {"trace_id": trace, "value": 1 if is_good else -1}
    if dialect == "helicone":
        return f"/v1/request/{request_id}/feedback", {"rating": is_good}
    return "/api/v1/feedback", {"id": request_id, "thumb": "up" if is_good else "down"}


def test_bad_answers_are_dropped_and_not_kept_again(
    caching: RunningGateway, upstream: UpstreamProcess
) -> None:
    given = [(dialect, again) for dialect in ("portkey", "helicone", "native") for again in (False, True)]
    callers = [Caller(caching, upstream) for _ in given]
    callers[0].play(*answer(REPLY, JSON))
    sources = [f"source-{new_id()}" for _ in given]
    for caller, source in zip(callers, sources, strict=True):
        caller.keep(trace=source)
    bad = []
    with httpx.Client(base_url=caching.url, headers={"Authorization": f"Bearer {KEYS['admin']}"}) as client:
        for caller, source, (dialect, is_on_repetition) in zip(callers, sources, given, strict=True):
            trace = f"again-{new_id()}" if is_on_repetition else source
            if is_on_repetition:
                assert caller.status(trace=trace) == "HIT"
            row = wait_for_row(caching.database, trace)
            path, body = feedback_of(dialect, trace, row["request_id"], is_good=True)
            client.post(path, json=body).raise_for_status()
            bad.append(feedback_of(dialect, trace, row["request_id"], is_good=False))
        assert [caller.statuses() for caller in callers] == [{"HIT"}] * len(callers)
        for path, body in bad:
            client.post(path, json=body).raise_for_status()
    for caller, source in zip(callers, sources, strict=True):
        caller.wait_for("MISS")
        wanted = "SELECT rests_until_us - created_at_us, length(body) FROM cached_answers WHERE trace_id = ?"
        [(rest_us, size)] = query(caching.database, wanted, source)
        assert (size, rest_us > 3_500_000_000) == (0, True)
