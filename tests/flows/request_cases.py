"""Requests of many kinds: methods, targets, fields, bodies and versions."""

from __future__ import annotations

from collections.abc import Iterator

from tests.flows.differential_case import CHUNKED, CLOSE, JSON, Case, answering, packed, sized
from tests.raw_http import LAST_CHUNK, chunk
from tests.scripted_upstream import READ, send
from tests.upstream_server import BLOCK


def request_cases() -> list[Case]:
    """Return the requests picked by hand."""
    return [*_methods(), *_targets(), *_request_fields(), *_request_bodies(), *_versions()]


def _methods() -> Iterator[Case]:
    for method in (
        b"GET",
        b"DELETE",
        b"OPTIONS",
        b"PROPFIND",
        b"REPORT",
        b"SEARCH",
        b"TRACE",
        b"PURGE",
        b"QUERY",
    ):
        yield Case(f"{method.decode()} without a body", method)
    for method in (b"GET", b"DELETE", b"PUT", b"PATCH", b"OPTIONS", b"PROPFIND", b"REPORT", b"QUERY"):
        yield Case(f"{method.decode()} with a body", method, fields=(sized(b"{}"), JSON), pieces=(b"{}",))
    for framing in (b"Content-Length: 1234", CHUNKED, b"X-None: 1"):
        steps = answering(b"200 OK", framing, b"ETag: x")
        yield Case(f"HEAD answered with {framing.decode()}", b"HEAD", steps=steps)
    yield Case("HEAD answered with 404", b"HEAD", steps=answering(b"404 Not Found", b"Content-Length: 9"))
    yield Case("POST with length 0", fields=(b"Content-Length: 0",))
    yield Case("POST without any framing")


def _targets() -> Iterator[Case]:
    for rest in (
        b"", b"/", b"/models/gpt-4.", b"/models/.hidden", b"/a//b", b"//a", b"/a/./b", b"/a/b/..", b"/a%2Fb",
        b"/a%2fb", b"/%E2%82%AC", b"/%e2%82%ac", b"/%zz", b"/a%", b"/a+b", b"/a%20b", b"/a;v=1/b", b"/a:b@c",
        b"/a!$&'()*+,=~", b"/%00", b"/" + b"x" * 4000, b"/a\\b", b"/a|b", b'/a"b',
        b"/models/org/name:tag@sha256",
    ):  # fmt: skip
        yield Case(f"target {rest[:30]!r}", b"GET", b"/v1" + rest)
    for query in (
        b"", b"a", b"a=", b"=", b"a=1&a=2", b"b&a", b"a=%2F&b=%2f", b"a=/b/../c", b"a=?b", b"a=b+c%20d", b"%zz",
        b"filter[a]={b}", b"a=" + b"x" * 8000, b"beta=true&", b"&", b"a;b", b"a=\\",
    ):  # fmt: skip
        yield Case(f"query {query[:30]!r}", b"GET", b"/v1/models?" + query)


def _request_fields() -> Iterator[Case]:
    for fields in (
        (b"X-Empty:",), (b"X-Empty: ",), (b"X-NoSpace:v",), (b"X-Padded:   v \t ",), (b"X-Tab: a\tb",),
        (b"X-Latin: \xe4\xf6\xfc \xff",), (b"X-Utf8: \xe2\x82\xac",), (b"X-Long: " + b"v" * 30_000,),
        (b"X-Same: 1", b"X-Other: 0", b"X-Same: 2", b"x-same: 3"), (b"X-List: a, b ,c,,",),
        (b"x-lower: 1", b"X-UPPER: 2", b"X-mIxEd: 3"), (b"!#$%&'*+-.^_`|~09aZ: odd",), (b"X-Quote: \"a\\\"b\"",),
        (b"Cookie: a=1; b=2", b"Cookie: c=3"), (b"Accept: */*", b"Accept-Encoding: gzip, br, zstd"),
        (b"User-Agent: \xfcber/1", b"Authorization: Bearer sk-own"), (b"Authorization: Basic dTpw",),
        (b"x-api-key: sk-own", b"anthropic-version: 2023-06-01"), (b"OpenAI-Organization: org-1",),
        (b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"tracestate: a=1"),
        (b"Idempotency-Key: k-1",), (b"If-None-Match: \"x\"", b"Range: bytes=0-9"), (b"Via: 1.1 edge",),
        (b"X-Forwarded-For: 10.0.0.1", b"Forwarded: for=10.0.0.1"), (b"X-Stainless-Arch: x64",),
        (b"Content-Type: application/json; charset=\"UTF-8\"",), (b"Date: today", b"Server: mine"),
        tuple(b"X-Many-%d: %d" % (number, number) for number in range(100)),
    ):  # fmt: skip
        yield Case(f"fields {fields[0][:30]!r}", fields=(*fields, sized(b"{}")), pieces=(b"{}",))


def _request_bodies() -> Iterator[Case]:
    binary = BLOCK[:4096]
    for name, body in (
        ("one byte", b"x"), ("binary", binary), ("JSON", b'{"model":"m"}'), ("line breaks", b"\r\n\r\n"),
        ("64 KiB", BLOCK[: 64 * 1024]), ("64 KiB and 1", BLOCK[: 64 * 1024 + 1]), ("300 KiB", BLOCK[: 300 * 1024]),
        ("what looks like a request", b"GET /v1/evil HTTP/1.1\r\nHost: x\r\n\r\n"),
    ):  # fmt: skip
        yield Case(f"sized body: {name}", fields=(sized(body),), pieces=(body,))
        yield Case(f"chunked body: {name}", fields=(CHUNKED,), pieces=(body,))
    yield Case("chunked body: nothing", fields=(CHUNKED,))
    yield Case(
        "chunked body: a byte at a time",
        fields=(CHUNKED,),
        pieces=tuple(b"%c" % byte for byte in binary[:300]),
    )
    yield Case(
        "chunked body: odd spelling", fields=(b"transfer-encoding:  Chunked",), pieces=(b"abc", b"def")
    )
    yield Case("20 MB up, sized", fields=(sized(BLOCK * 20),), pieces=(BLOCK * 20,))
    yield Case("20 MB up, chunked", fields=(CHUNKED,), pieces=(BLOCK,) * 20)
    for coding, body in packed(b'{"model":"m"}' * 50):
        field = b"Content-Encoding: " + coding
        yield Case(f"{coding.decode()} body up", fields=(field, sized(body), JSON), pieces=(body,))
    yield Case("mislabelled gzip body up", fields=(b"Content-Encoding: gzip", sized(b"no")), pieces=(b"no",))
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
        + binary
        + b"\r\n--b\r\nContent-Disposition: form-data; "
        b'name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
    )
    multipart = b"Content-Type: multipart/form-data; boundary=b"
    yield Case("multipart upload", b"POST", b"/v1/files", (multipart, sized(form)), (form,))
    yield Case(
        "multipart upload, chunked", b"POST", b"/v1/files", (multipart, CHUNKED), (form[:99], form[99:])
    )


def _versions() -> Iterator[Case]:
    old = b"HTTP/1.0"
    for framing, body in (
        (b"Content-Length: 2", b"ok"),
        (CHUNKED, chunk(b"ok") + LAST_CHUNK),
        (b"X-None: 1", b"ok"),
    ):
        steps = (*answering(b"200 OK", framing, body=body), CLOSE)
        yield Case(f"HTTP/1.0, {framing.decode()}", b"GET", version=old, steps=steps)
    keeping = (b"Connection: keep-alive", sized(b"{}"))
    yield Case("HTTP/1.0, kept open", fields=keeping, pieces=(b"{}",), version=old)
    yield Case("asked to close", fields=(b"Connection: close", sized(b"{}")), pieces=(b"{}",))
    hop = (b"Connection: X-Hop, keep-alive", b"X-Hop: 1", b"X-Stays: 1", b"TE: trailers", b"Keep-Alive: 5")
    yield Case("fields of one hop", b"GET", fields=hop)
    yield Case(
        "provider that closes",
        steps=(*answering(b"200 OK", b"Connection: close", sized(b"ok"), body=b"ok"), CLOSE),
    )
    yield Case("provider of HTTP/1.0", steps=(READ, send(b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nbody"), CLOSE))
