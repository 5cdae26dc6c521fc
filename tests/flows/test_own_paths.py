"""The gateway's own paths over real sockets: never forwarded, and errors in the shape of whose path it is."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.gateway_process import RunningGateway
from tests.openapi_paths import without_endless
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess
from tests.test_routes import all_spellings

FEEDBACK = b'{"trace_id": "packed", "value": 5}'


def test_nothing_of_ours_reaches_the_provider(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.take()
    for path in all_spellings():
        for method in (b"GET", b"POST"):
            target = path.encode()
            status = call(gateway.port, request(method, target, b"x-portkey-provider: up", body=b"{}")).status
            assert status != 500, path
    assert upstream.take() == []


def test_other_paths_do_reach_the_provider(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    for path in ("/v1/feedbacks", "/up/v1/feedback", "/v1/chat/feedback"):
        upstream.take()
        assert call(gateway.port, request(b"GET", path.encode())).status == 200
        assert len(upstream.take()) == 1


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        (b"gzip", gzip.compress(FEEDBACK), 200),
        (b"deflate", zlib.compress(FEEDBACK), 200),
        (b"gzip", gzip.compress(FEEDBACK)[:-9], 400),
        (b"gzip", gzip.compress(b" " * 20_000_000), 413),
        (b"br", FEEDBACK, 400),
    ],
)
def test_compressed_bodies_are_undone_within_bounds(
    gateway: RunningGateway, encoding: bytes, body: bytes, status: int
) -> None:
    sent = request(b"POST", b"/v1/feedback", b"Content-Encoding: " + encoding, body=body)
    assert call(gateway.port, sent).status == status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        (b"GET", b"/v1/feedback", b"OPTIONS,POST"),
        (b"DELETE", b"/v1/feedback/", b"OPTIONS,POST"),
        (b"POST", b"/v1/feedback/0196", b"PUT"),
        (b"GET", b"/v1/logs", b"POST"),
        (b"DELETE", b"/v1/logs/exports/x", b"GET,HEAD,PUT"),
        (b"PATCH", b"/api/v1/traces/1", b"GET,HEAD"),
        (b"POST", b"/healthz", b"GET,HEAD"),
        (b"DELETE", b"/metrics", b"GET,HEAD"),
    ],
)
def test_a_path_of_ours_with_another_method_is_405_and_says_what_is_allowed(
    gateway: RunningGateway, method: bytes, path: bytes, allowed: bytes
) -> None:
    answer = call(gateway.port, request(method, path))
    assert answer.status == 405
    allow = {name.strip() for name in answer.value(b"allow").split(b",")}
    assert allow == set(allowed.split(b","))
    assert "Allowed" in answer.body.decode()


def test_head_is_answered_wherever_get_is_and_alike(gateway: RunningGateway) -> None:
    document = without_endless(json.loads(call(gateway.port, request(b"GET", b"/openapi.json")).body))
    paths = [path.encode() for path, operations in document["paths"].items() if "get" in operations]
    assert {b"/healthz", b"/readyz", b"/openapi.json", b"/metrics", b"/f/{token}"} < set(paths)
    # HEAD of a link that gives feedback gives none.
    paths.remove(b"/langsmith/feedback/tokens/{token}")
    for path in [*paths, b"/docs", b"/docs/feedback"]:
        target = path.replace(b"{", b"").replace(b"}", b"")
        whole, head = (call(gateway.port, request(method, target)) for method in (b"GET", b"HEAD"))
        assert (head.status, head.body) == (whole.status, b""), path
        assert head.value(b"content-type") == whole.value(b"content-type")
    healthy = call(gateway.port, request(b"HEAD", b"/healthz"))
    assert (healthy.status, healthy.value(b"content-length")) == (200, b"16")


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/feedback/a/b",
        b"/v1/feedback/a/b/c?d",
        b"/v1/%66eedback/a/b",
        b"/v1/logs/exports/x/y",
        b"/v1/logs/x",
    ],
)
def test_an_unknown_path_of_portkey_s_is_404_in_its_shape(gateway: RunningGateway, path: bytes) -> None:
    answer = call(gateway.port, request(b"GET", path))
    assert answer.status == 404
    assert set(json.loads(answer.body)) == {"status", "message"}


@pytest.mark.parametrize("path", [b"/api/v1/nothing", b"/v1/analytics"])
def test_an_unknown_path_of_ours_is_404_as_json(gateway: RunningGateway, path: bytes) -> None:
    answer = call(gateway.port, request(b"GET", path))
    assert answer.status == 404
    assert json.loads(answer.body)


@pytest.mark.parametrize("path", [b"/f", b"/f/x", b"/f/x/y", b"/ui/x", b"/ui/feedback/x"])
def test_an_unknown_path_of_a_page_is_404_as_a_page(gateway: RunningGateway, path: bytes) -> None:
    answer = call(gateway.port, request(b"GET", path))
    assert answer.status == 404
    assert b"<h1>There is nothing here</h1>" in answer.body
