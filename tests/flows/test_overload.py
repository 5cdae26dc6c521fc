"""More requests than a gateway is to take: some are told to come again, the others stay as quick as ever."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, read_metrics
from tests.raw_http import Connection, call, request
from tests.scripted_upstream import READ, UpstreamProcess, answer, head, send, wait

REPLY = b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[]}'
MOST = 2
REFUSED = 'gateway_requests_refused_total{key="",reason="overloaded"}'


def config(upstream: UpstreamProcess, most: int | None) -> dict[str, Any]:
    return {"server": {"max_in_flight": most}, "providers": {"up": {"base_url": f"{upstream.url}/v1"}}}


@pytest.fixture
def limited(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    return start_gateway(config(upstream, MOST))


class Held:
    """Requests that are under way until they are let go."""

    def __init__(self, gateway: RunningGateway, upstream: UpstreamProcess, count: int) -> None:
        upstream.take()
        self._upstream, self._gate = upstream, upstream.name()
        steps = READ, head(b"200 OK", b"Content-Length: 2"), wait(self._gate), send(b"ok")
        self._callers = [Connection(gateway.port) for _ in range(count)]
        for caller in self._callers:
            caller.send(request(b"POST", b"/v1/chat/completions", upstream.script(*steps), body=b"{}"))
            assert caller.head().status == 200

    def let_go(self) -> None:
        self._upstream.open(self._gate)
        for caller in self._callers:
            assert caller.read(2) == b"ok"
            caller.close()


@pytest.fixture
def held(limited: RunningGateway, upstream: UpstreamProcess) -> Iterator[Held]:
    held = Held(limited, upstream, MOST)
    yield held
    held.let_go()


@pytest.mark.parametrize(
    ("path", "drawn"),
    [
        (b"/v1/chat/completions", {"type": "overloaded_error", "param": None, "code": "overloaded"}),
        (b"/v1/messages", {"type": "overloaded_error"}),
    ],
)
def test_one_request_too_many_is_refused_at_once_in_its_provider_s_shape(
    held: Held, limited: RunningGateway, upstream: UpstreamProcess, path: bytes, drawn: dict[str, object]
) -> None:
    received = len(upstream.take())
    refused = call(limited.port, request(b"POST", path, body=b"{}"))
    assert (refused.status, refused.value(b"retry-after")) == (503, b"1")
    error = json.loads(refused.body)["error"]
    assert error.pop("message") == (
        "2 requests are under way, as many as this gateway takes at once. Send it again soon."
    )
    assert error == drawn
    assert refused.value(b"x-portkey-trace-id")
    assert (received, upstream.take()) == (MOST, [])
    assert query(limited.database, "SELECT count(*) FROM requests")[0][0] == 0
    assert read_metrics(limited.url)[REFUSED] == 1


@pytest.mark.usefixtures("held")
def test_a_caller_that_asks_before_it_sends_its_body_need_not_send_it(limited: RunningGateway) -> None:
    fields = b"Expect: 100-continue", b"Content-Length: 1000000"
    with Connection(limited.port) as caller:
        caller.send(request(b"POST", b"/v1/chat/completions", *fields))
        assert caller.head().status == 503


@pytest.mark.usefixtures("held")
def test_feedback_and_the_gateway_s_own_pages_go_on(limited: RunningGateway) -> None:
    vote = httpx.post(f"{limited.url}/v1/feedback", json={"trace_id": "t", "value": 1}, trust_env=False)
    assert vote.status_code == 200
    for path in ("/healthz", "/readyz", "/api/v1/requests"):
        assert httpx.get(limited.url + path, trust_env=False).status_code == 200


def test_openai_s_sdk_waits_and_tries_again(limited: RunningGateway, upstream: UpstreamProcess) -> None:
    held = Held(limited, upstream, MOST)
    upstream.default(*answer(REPLY, b"Content-Type: application/json"))
    client = openai.OpenAI(base_url=f"{limited.url}/v1", api_key="sk-any", max_retries=8)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.chat.completions.create, model="m", messages=[])
        eventually(lambda: read_metrics(limited.url).get(REFUSED, 0) >= 1)
        held.let_go()
        assert asked.result().id == "chatcmpl-1"


def test_a_reload_changes_how_many_are_taken(
    held: Held, limited: RunningGateway, upstream: UpstreamProcess
) -> None:
    limited.write_config(config(upstream, None))
    limited.signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in limited.log())
    more = Held(limited, upstream, 3 * MOST)
    assert read_metrics(limited.url)["gateway_in_flight"] == 4 * MOST
    more.let_go()
