"""What is no request: refused in a few words, and neither answer nor log repeats any of it."""

from __future__ import annotations

import json

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.raw_http import Connection

KEY = b"sk-never-to-be-repeated-0123456789"

START = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"

HEADS = {
    "blank before the colon": START + b"Authorization : Bearer " + KEY + b"\r\n\r\n",
    "no colon": START + b"Authorization Bearer " + KEY + b"\r\n\r\n",
    "folded field": START + b"Authorization: Bearer\r\n " + KEY + b"\r\n\r\n",
    "NUL": START + b"Authorization: \0" + KEY + b"\r\n\r\n",
    "field twice": START + b"Host: " + KEY + b"\r\n\r\n",
    "lines ended by LF": b"GET /v1/models HTTP/1.1\nHost: localhost\nAuthorization: Bearer " + KEY + b"\n\n",
    "no host": b"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer " + KEY + b"\r\n\r\n",
    "URL that is not ASCII": b"GET /v1/gr\xc3\xbcn?key=" + KEY + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "URL that is none": b"GET http://[::1/v1?key=" + KEY + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + KEY,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + KEY + b"\r\n\r\n",
    "method that is none": b"GET" + KEY + b" /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "wrong length": START + b"Content-Length: " + KEY + b"\r\n\r\n",
    "wrong coding": START + b"Transfer-Encoding: " + KEY + b"\r\n\r\n",
    "wrong chunk": START + b"Transfer-Encoding: chunked\r\n\r\n" + KEY + b"\r\n",
}

TOO_LARGE = {
    "field": START + b"Authorization: " + KEY * 4000 + b"\r\n\r\n",
    "URL": b"GET /v1/models?key=" + KEY * 4000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "number of fields": START + b"".join(b"X-%d: %b\r\n" % (at, KEY) for at in range(200)) + b"\r\n",
}


def refusal(gateway: RunningGateway, head: bytes) -> tuple[int, str]:
    """Send what is no request; return the answer's status and message once the log has its line."""
    before = gateway.log().count("unreadable request refused")
    with Connection(gateway.port) as caller:
        caller.send(head)
        refused = caller.response()
        assert caller.to_end() == b""
    eventually(lambda: gateway.log().count("unreadable request refused") == before + 1)
    assert refused.value(b"content-type").startswith(b"application/json")
    assert KEY[:20] not in refused.body
    message: str = json.loads(refused.body)["error"]["message"]
    return refused.status, message


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_a_head_that_cannot_be_read_is_refused_without_repeating_any_of_it(
    gateway: RunningGateway, head: bytes
) -> None:
    status, message = refusal(gateway, head)
    assert (status, len(message) < 120) == (400, True)
    _assert_log_is_clean(gateway)


@pytest.mark.parametrize("head", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_head_that_is_too_large_is_refused_with_431(gateway: RunningGateway, head: bytes) -> None:
    status, message = refusal(gateway, head)
    assert status == 431
    assert "field" in message
    _assert_log_is_clean(gateway)


def _assert_log_is_clean(gateway: RunningGateway) -> None:
    log = gateway.log()
    assert KEY[:20].decode() not in log
    assert "Traceback" not in log
    [line] = [line for line in log.splitlines() if "unreadable request refused" in line][-1:]
    assert json.loads(line)["level"] == "info"
    assert len(line) < 400
