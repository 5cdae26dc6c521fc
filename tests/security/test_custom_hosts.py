"""A caller cannot have the gateway call an address that nobody allowed, nor have it led to one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

METADATA_ADDRESSES = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.169.254.",
    "169.254.169.254.nip.io",
    "metadata.google.internal",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fe80::1%25eth0]",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "0",
    "[::]",
    "127.1",
    "localhost",
]
"""Where clouds keep credentials, this machine, and other ways to write the same."""


def disguises(upstream: UpstreamProcess) -> Iterator[str]:
    """URLs that look to one reader like the host that is allowed, and to another like one that is not."""
    allowed, other = upstream.url, f"127.0.0.1:{closed_port()}"
    yield f"{allowed}@{other}/v1"
    yield f"{allowed}#@{other}/v1"
    yield f"{allowed}?@{other}/v1"
    yield f"{allowed}\\@{other}/v1"
    yield f"{allowed}:80@{other}/v1"
    yield f"{allowed};@{other}/v1"
    yield f"{allowed}%2f@{other}/v1"
    yield f"{allowed}%00.{other}/v1"
    yield f"{allowed}.{other}/v1"
    yield f"{allowed} @{other}"
    yield f"{allowed}\t.evil.test/v1"
    yield f"http:{other}/v1#{allowed}"
    yield f"http:/{other}/{allowed}"
    yield f"//{other}/v1"
    yield f"\\\\{other}\\v1"
    yield f"ftp://127.0.0.1:{upstream.port}/"
    yield f"unix:///run/x.sock#{allowed}"
    yield f"http://user:secret@127.0.0.1:{upstream.port}"


def refused(gateway: RunningGateway, url: str) -> bytes:
    """Call with this custom host, which must be refused; return what is said."""
    field = f"x-portkey-custom-host: {url}".encode()
    answered = call(gateway.port, request(b"POST", b"/v1/chat/completions", field, body=b"{}"))
    assert answered.status in (400, 403), url
    return answered.body


@pytest.mark.parametrize("address", METADATA_ADDRESSES)
def test_an_address_that_is_not_listed_is_not_called_however_it_is_written(
    gateway: RunningGateway, upstream: UpstreamProcess, address: str
) -> None:
    for url in (f"http://{address}/latest", f"https://{address}", f"http://{address}:{upstream.port}/v1"):
        assert json.loads(refused(gateway, url))["error"]["param"] == "x-portkey-custom-host"


def test_what_looks_like_a_listed_origin_is_not_called(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    for url in disguises(upstream):
        refused(gateway, url)
    assert upstream.take() == []


def test_a_password_in_a_custom_host_is_not_repeated(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    said = refused(gateway, f"http://user:secret@127.0.0.1:{upstream.port}/v1")
    assert b"secret" not in said
    assert b"user" not in said


@pytest.mark.parametrize("path", ["/a b", "/a\tb", "/\x7f", "/a?b=c", "/a#b"])
def test_nothing_can_be_smuggled_in_behind_a_listed_origin(
    gateway: RunningGateway, upstream: UpstreamProcess, path: str
) -> None:
    upstream.take()
    field = f"x-portkey-custom-host: {upstream.url}{path}".encode("latin-1")
    answered = call(gateway.port, request(b"GET", b"/v1/models", field))
    received = upstream.take()
    assert answered.status in (400, 403) or [each.target for each in received] == ["/ab/models"]


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"]
)
def test_a_redirect_is_the_caller_s_to_follow(
    gateway: RunningGateway, upstream: UpstreamProcess, status: bytes
) -> None:
    location = f"{upstream.url}/elsewhere".encode()
    script = upstream.script(*answer(b"over there", b"Location: " + location, status=status))
    upstream.take()
    answered = call(gateway.port, request(b"POST", b"/v1/chat/completions", script, body=b"{}"))
    assert answered.status == int(status[:3])
    assert answered.value(b"location") == location
    assert answered.body == b"over there"
    assert [received.target for received in upstream.take()] == ["/v1/chat/completions"]
