"""A gateway without keys is there for this machine, not for pages that a browser on it shows."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.raw_http import call, chunk, request
from tests.scripted_upstream import UpstreamProcess, answer

PATHS = [b"/v1/chat/completions", b"/v1/feedback", b"/api/feedback", b"/v1/request/1/feedback", b"/v1/logs"]


def config(upstream: UpstreamProcess, **server: Any) -> dict[str, Any]:
    return {"server": server, "providers": {"up": {"base_url": f"{upstream.url}/v1"}}}


def post(gateway: RunningGateway, path: bytes, *fields: bytes) -> tuple[int, bytes]:
    head = b"\r\n".join([b"POST " + path + b" HTTP/1.1", *fields, b"Transfer-Encoding: chunked"])
    replied = call(gateway.port, head + b"\r\n\r\n" + chunk(b'{"trace_id":"t","value":1}') + chunk(b""))
    return replied.status, replied.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "fields",
    [
        (b"Host: evil.test:8787",),
        (b"Host: localhost", b"Origin: https://evil.test"),
        (b"Host: localhost", b"Origin: null"),
    ],
)
def test_a_page_from_elsewhere_is_refused_on_every_path_and_reaches_no_provider(
    start_gateway: StartGateway, upstream: UpstreamProcess, path: bytes, fields: tuple[bytes, ...]
) -> None:
    gateway = start_gateway(config(upstream))
    upstream.take()
    status, body = post(gateway, path, *fields)
    assert status == 403
    assert b"server.allowed_hosts" in body
    assert upstream.take() == []


def test_what_a_page_from_elsewhere_embeds_or_links_is_refused_but_for_pages_without_data(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(config(upstream, allowed_hosts=["friend.test"]))
    upstream.default(*answer(b"{}"))
    upstream.take()

    def get(path: bytes, *fields: bytes) -> int:
        return call(gateway.port, request(b"GET", path, *fields)).status

    foreign = b"Sec-Fetch-Site: cross-site"
    for path in (b"/v1/models", b"/up/models", b"/api/v1/requests", b"/v1/logs/exports", b"/metrics"):
        assert get(path, foreign) == 403, path
    assert upstream.take() == []
    assert get(b"/docs", foreign, b"Sec-Fetch-Mode: navigate") == 200
    assert get(b"/v1/models", foreign, b"Origin: https://friend.test") == 200
    for site in (b"same-origin", b"same-site", b"none"):
        assert get(b"/v1/models", b"Sec-Fetch-Site: " + site) == 200


def test_a_refusal_comes_in_the_shape_of_the_path_that_was_called(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(config(upstream))
    _, body = post(gateway, b"/v1/chat/completions", b"Host: evil.test")
    assert json.loads(body)["error"]["param"] == "Host"
    _, body = post(gateway, b"/v1/feedback", b"Host: evil.test")
    assert json.loads(body)["status"] == "failure"


@pytest.mark.parametrize(
    "fields",
    [(b"Host: localhost",), (b"Host: 127.0.0.1", b"Origin: http://localhost:3000"), (b"Host: [::1]:1",)],
)
def test_this_machine_may_call(
    start_gateway: StartGateway, upstream: UpstreamProcess, fields: tuple[bytes, ...]
) -> None:
    gateway = start_gateway(config(upstream))
    upstream.default(*answer(b"{}"))
    assert post(gateway, b"/v1/chat/completions", *fields) == (200, b"{}")
    assert post(gateway, b"/v1/feedback", *fields)[0] == 200


def test_a_name_that_is_allowed_may_be_used_as_soon_as_the_file_is_read_again(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(config(upstream))
    upstream.default(*answer(b"{}"))
    fields = b"Host: gateway.test", b"Origin: https://gateway.test"
    assert post(gateway, b"/v1/chat/completions", *fields)[0] == 403
    gateway.write_config(config(upstream, allowed_hosts=["gateway.test"]))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "configuration reloaded" in gateway.log())
    assert post(gateway, b"/v1/chat/completions", *fields)[0] == 200


def test_where_there_are_keys_or_auth_is_off_names_are_not_looked_at(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    upstream.default(*answer(b"{}"))
    fields = b"Host: evil.test", b"Origin: https://evil.test"
    assert post(start_gateway(config(upstream, auth="off")), b"/v1/chat/completions", *fields)[0] == 200
    key = {"name": "app", "key": "a-key-of-some-length", "role": "proxy"}
    keyed = start_gateway({**config(upstream), "keys": [key]})
    assert post(keyed, b"/v1/chat/completions", *fields, b"x-portkey-api-key: a-key-of-some-length")[0] == 200
