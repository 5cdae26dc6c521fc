"""Which provider a request goes to, as callers see it."""

from __future__ import annotations

import json

import pytest

from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import row
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess

NAMES = ("up", "deep", "bare", "impatient", "hurried", "refusing", "nowhere", "redacted", "quiet")


@pytest.mark.parametrize(
    ("path", "fields", "provider", "target"),
    [
        (b"/v1/chat/completions", [], "up", "/v1/chat/completions"),
        (b"/v1/models?a=/b", [], "up", "/v1/models?a=/b"),
        (b"/v1", [], "up", "/v1"),
        (b"/v1?a=/b/c", [], "up", "/v1?a=/b/c"),
        (b"/up/chat/completions", [], "up", "/v1/chat/completions"),
        (b"/up/v1/chat/completions", [], "up", "/v1/chat/completions"),
        (b"/up/v2/chat", [], "up", "/v1/v2/chat"),
        (b"/up?a=/b", [], "up", "/v1?a=/b"),
        (b"/deep/v1/chat", [], "deep", "/some/where/v2/chat"),
        (b"/deep/chat", [], "deep", "/some/where/v2/chat"),
        (b"/bare/v1/chat", [], "bare", "/v1/chat"),
        (b"/bare/v1beta/chat", [], "bare", "/v1beta/chat"),
        (b"/bare/chat", [], "bare", "/chat"),
        (b"/v1/chat", [b"x-portkey-provider: bare"], "bare", "/v1/chat"),
        (b"/v1/v1/chat", [b"x-portkey-provider: bare"], "bare", "/v1/chat"),
        (b"/deep/v2/chat", [], "deep", "/some/where/v2/chat"),
        (b"/bare", [], "bare", "/"),
        (b"/bare/?q", [], "bare", "/?q"),
        (b"/v1/chat", [b"x-portkey-provider: deep"], "deep", "/some/where/v2/chat"),
        (b"/v1/chat", [b"X-Portkey-Provider: @deep"], "deep", "/some/where/v2/chat"),
        (b"/up/chat", [b"x-portkey-provider: deep"], "up", "/v1/chat"),
        (b"/v1/chat", [b"x-portkey-virtual-key: deep"], "deep", "/some/where/v2/chat"),
        (
            b"/v1/chat",
            [b"x-portkey-virtual-key: deep", b"x-portkey-provider: @deep"],
            "deep",
            "/some/where/v2/chat",
        ),
    ],
)
def test_the_path_and_the_header_choose_the_provider(
    gateway: RunningGateway,
    upstream: UpstreamProcess,
    path: bytes,
    fields: list[bytes],
    provider: str,
    target: str,
) -> None:
    upstream.take()
    trace = upstream.name() + "-choice"
    answer = call(gateway.port, request(b"GET", path, b"x-portkey-trace-id: " + trace.encode(), *fields))
    assert answer.status == 200
    assert answer.value(b"x-portkey-provider") == provider.encode()
    [received] = upstream.take()
    assert received.target == target
    logged = row(gateway.database, trace)
    assert (logged["provider"], logged["path"]) == (provider, path.decode())


@pytest.mark.parametrize("field", [b"x-portkey-provider", b"x-portkey-virtual-key"])
def test_an_unknown_provider_is_refused_with_those_there_are(
    gateway: RunningGateway, upstream: UpstreamProcess, field: bytes
) -> None:
    upstream.take()
    answer = call(gateway.port, request(b"POST", b"/v1/chat/completions", field + b": nobody", body=b"{}"))
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    assert error["param"] == field.decode()
    assert "nobody" in error["message"]
    assert all(name in error["message"] for name in NAMES)
    assert upstream.take() == []


@pytest.mark.parametrize("path", [b"/nobody/v1/chat", b"/V1/chat", b"/Up/chat", b"/nobody?a=/up/v1"])
def test_a_path_of_nobody_s_is_404(gateway: RunningGateway, upstream: UpstreamProcess, path: bytes) -> None:
    upstream.take()
    answer = call(gateway.port, request(b"GET", path))
    assert answer.status == 404
    error = json.loads(answer.body)["error"]
    assert error["type"] == "not_found_error"
    assert "up" in error["message"]
    assert upstream.take() == []


def test_the_root_is_the_gateway_s_own(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.take()
    answer = call(gateway.port, request(b"GET", b"/"))
    assert answer.status == 200
    assert json.loads(answer.body)["openapi"] == "/openapi.json"
    assert upstream.take() == []


def test_a_custom_host_that_is_allowed_is_called(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.take()
    host = b"x-portkey-custom-host: " + upstream.url.encode() + b"/base/path"
    answer = call(gateway.port, request(b"GET", b"/v1/models?a", host))
    assert answer.status == 200
    [received] = upstream.take()
    assert received.target == "/base/path/models?a"


def test_a_custom_host_that_is_not_allowed_is_not_called(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    for host in (
        f"http://127.0.0.1:{closed_port()}", f"http://localhost:{upstream.port}", f"https://127.0.0.1:{upstream.port}",
        f"http://127.0.0.1:{upstream.port}@evil.test", f"http://evil.test?{upstream.url}", "127.0.0.1", "", "file:///x",
        f"{upstream.url}.evil.test", f"http://u:p@127.0.0.1:{upstream.port}",
    ):  # fmt: skip
        answer = call(
            gateway.port, request(b"GET", b"/v1/models", b"x-portkey-custom-host: " + host.encode())
        )
        assert answer.status == 403, host
        assert json.loads(answer.body)["error"]["param"] == "x-portkey-custom-host"
    assert upstream.take() == []


def test_a_custom_host_with_a_query_is_refused(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    host = f"x-portkey-custom-host: {upstream.url}/v1?a=1"
    assert call(gateway.port, request(b"GET", b"/v1/models", host.encode())).status == 400
