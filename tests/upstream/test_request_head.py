from __future__ import annotations

import pytest

from gateway.errors import BadInput
from gateway.models.exchange import RawHeaders
from gateway.upstream.request import OutgoingRequest, encode_head, has_chunked_coding


def encoded(method: str = "POST", target: str = "/v1", headers: RawHeaders = ()) -> bytes:
    return encode_head(OutgoingRequest(method, target, headers, b""))


def test_fields_go_out_in_their_order_spelling_and_number() -> None:
    fields = ((b"Host", b"h"), (b"x-B", b"2"), (b"X-b", b""), (b"a", b"\xff \xc3\xa9"))
    assert encoded("PATCH", "/a%20b?c=d", fields) == (
        b"PATCH /a%20b?c=d HTTP/1.1\r\nHost: h\r\nx-B: 2\r\nX-b: \r\na: \xff \xc3\xa9\r\n\r\n"
    )


def test_bytes_of_a_target_that_are_not_utf8_go_out_as_they_came() -> None:
    target = b"/caf\xe9/\xc3\xa9".decode("utf-8", "surrogateescape")
    assert encoded("GET", target) == b"GET /caf\xe9/\xc3\xa9 HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("evil", ["\r", "\n", "\r\n", "\0", "\r\nx: y"])
def test_line_breaks_and_nul_are_refused_wherever_they_are(evil: str) -> None:
    raw = evil.encode()
    for method, target, headers, field in [
        (f"GET{evil}", "/", (), "method"),
        ("GET", f"/{evil}", (), "target"),
        ("GET", "/", ((b"a", b"b"), (b"c" + raw, b"d")), "headers[1]"),
        ("GET", "/", ((b"a", b"b" + raw),), "headers[0]"),
    ]:
        with pytest.raises(BadInput) as caught:
            encoded(method, target, headers)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("method", "target", "headers", "field"),
    [
        ("", "/", (), "method"),
        ("GE T", "/", (), "method"),
        ("GÉT", "/", (), "method"),
        ("GET", "", (), "target"),
        ("GET", "/ HTTP/1.1", (), "target"),
        ("GET", "/\ud800", (), "target"),
        ("GET", "/", ((b"", b"v"),), "headers"),
        ("GET", "/", ((b"content-length ", b"5"),), "headers"),
        ("GET", "/", ((b"a:b", b"v"),), "headers"),
    ],
)
def test_what_would_be_read_as_something_else_is_refused(
    method: str, target: str, headers: RawHeaders, field: str
) -> None:
    with pytest.raises(BadInput) as caught:
        encoded(method, target, headers)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (((b"transfer-encoding", b"chunked"),), True),
        (((b"Transfer-Encoding", b" Chunked "),), True),
        (((b"Transfer-Encoding", b"gzip, chunked"),), True),
        (((b"transfer-encoding", b"gzip"),), False),
        (((b"content-length", b"3"),), False),
        ((), False),
    ],
)
def test_a_body_is_chunked_if_the_last_coding_says_so(headers: RawHeaders, expected: bool) -> None:
    assert has_chunked_coding(headers) is expected
