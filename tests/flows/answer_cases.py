"""Answers of many kinds: statuses, fields, bodies and streams of events."""

from __future__ import annotations

from collections.abc import Iterator

from tests.flows.differential_case import CHUNKED, CLOSE, JSON, MIB, Case, answering, head, packed, sized
from tests.raw_http import LAST_CHUNK, chunk
from tests.scripted_upstream import EVENT_STREAM, READ, fill, send
from tests.upstream_server import BLOCK


def answer_cases() -> list[Case]:
    """Return the answers picked by hand."""
    return [*_statuses(), *_response_fields(), *_response_bodies(), *_event_streams()]


def _statuses() -> Iterator[Case]:
    for status in (
        b"200 ", b"200 Fine", b"200 Gr\xfc\xdfe", b"201 Created", b"202 Accepted", b"205 Reset Content",
        b"206 Partial Content", b"299 Odd", b"301 Moved Permanently", b"307 Temporary Redirect", b"400 Bad Request",
        b"401 Unauthorized", b"402 Payment Required", b"404 Not Found", b"413 Too Large", b"418 I'm a teapot",
        b"429 Too Many Requests", b"500 Oops", b"503 Overloaded", b"529 Site is overloaded", b"599 Last",
    ):  # fmt: skip
        body = b'{"error":{"message":"no"}}'
        yield Case(f"status {status!r}", steps=answering(status, sized(body), b"Retry-After: 3", body=body))
    yield Case("204", steps=answering(b"204 No Content", b"X-A: 1"))
    yield Case("204 with length 0", steps=answering(b"204 No Content", b"Content-Length: 0"))
    yield Case("304", steps=answering(b"304 Not Modified", b'ETag: "x"'))
    yield Case("304 with a length", steps=answering(b"304 Not Modified", b"Content-Length: 99"))
    yield Case("307 with a location", steps=answering(b"307 Moved", b"Location: /x?y", b"Content-Length: 0"))
    for interim in (b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </a>"):
        early = send(b"HTTP/1.1 %b\r\n\r\n" % interim)
        steps = (READ, early, early, *answering(b"200 OK", sized(b"ok"), body=b"ok")[1:])
        yield Case(f"interim {interim[:3].decode()} before 200", steps=steps)


def _response_fields() -> Iterator[Case]:
    for fields in (
        (b"X-Empty:",), (b"X-NoSpace:v",), (b"X-Padded:  v  ",), (b"X-Latin: \xe4\xff",),
        (b"X-Utf8: \xe2\x82\xac",),
        (b"Set-Cookie: a=1", b"X-Between: 0", b"Set-Cookie: b=2"), (b"X-List: a, b,,c",),
        (b"x-lower: 1", b"X-UP: 2"),
        (b"X-Long: " + b"v" * 60_000,), (b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Server: up/1"),
        (b"Content-Type: text/plain; charset=latin-1",), (b"Alt-Svc: h3=\":443\"",), (b"x-request-id: req_1",),
        (b"openai-processing-ms: 12", b"x-ratelimit-remaining-tokens: 9"), (b"Access-Control-Allow-Origin: *",),
        (b"WWW-Authenticate: Bearer, Basic realm=\"a, b\"",), (b"!#$%&'*+-.^_`|~09aZ: odd",),
        (b"Connection: keep-alive", b"Keep-Alive: timeout=5"), (b"Connection: X-Hop, keep-alive", b"X-Hop: 1"),
        (b"Content-Encoding: identity",), tuple(b"X-Many-%d: %d" % (number, number) for number in range(200)),
    ):  # fmt: skip
        yield Case(
            f"answered with {fields[0][:30]!r}", steps=answering(b"200 OK", *fields, sized(b"ok"), body=b"ok")
        )


def _response_bodies() -> Iterator[Case]:
    for name, body in (
        ("nothing", b""),
        ("one byte", b"x"),
        ("binary", BLOCK[:5000]),
        ("300 KiB", BLOCK[: 300 * 1024]),
    ):
        yield Case(f"sized answer: {name}", steps=answering(b"200 OK", sized(body), body=body))
        chunks = (chunk(body) if body else b"") + LAST_CHUNK
        yield Case(f"chunked answer: {name}", steps=answering(b"200 OK", CHUNKED, body=chunks))
        yield Case(
            f"answer that ends with the connection: {name}", steps=(*answering(b"200 OK", body=body), CLOSE)
        )
    for coding, small in packed(b'{"id":"chatcmpl-1","model":"m"}' * 50):
        field = b"Content-Encoding: " + coding
        yield Case(
            f"{coding.decode()} answer", steps=answering(b"200 OK", field, JSON, sized(small), body=small)
        )
        chunks = chunk(small[:7]) + chunk(small[7:]) + LAST_CHUNK
        yield Case(
            f"{coding.decode()} answer, chunked", steps=answering(b"200 OK", CHUNKED, field, body=chunks)
        )
    extended = b'3;a=b\r\nabc\r\n3;q="1"\r\ndef\r\n0;z\r\n\r\n'
    yield Case("chunk extensions", steps=answering(b"200 OK", CHUNKED, body=extended))
    trailed = chunk(b"abc") + b"0\r\nX-Checksum: 1\r\n\r\n"
    yield Case("trailers", steps=answering(b"200 OK", CHUNKED, b"Trailer: X-Checksum", body=trailed))
    upper = b"00A\r\n0123456789\r\nB\r\n0123456789a\r\n000\r\n\r\n"
    yield Case(
        "chunk sizes in odd spelling", steps=answering(b"200 OK", b"Transfer-Encoding: Chunked", body=upper)
    )
    large = 20 * MIB
    yield Case("20 MB down, sized", steps=(READ, head(b"Content-Length: %d" % large), fill(large)))
    yield Case("20 MB down, until the end", steps=(READ, head(b"X-A: 1"), fill(large), CLOSE))


def _event_streams() -> Iterator[Case]:
    tokens = b"".join(b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % number for number in range(50))
    for name, body in (
        ("LF", tokens + b"data: [DONE]\n\n"), ("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n"),
        ("CR", b"data: a\r\rdata: b\r\r"),
        ("comments", b": ping\n\n: ping\n\ndata: a\n\n"), ("many lines", b"event: x\ndata: a\ndata: b\nid: 1\n\n"),
        ("no blank line at the end", b"data: a\n\ndata: b"), ("a BOM", b"\xef\xbb\xbfdata: a\n\n"),
        ("nothing", b""),
        ("characters", "data: €ü😀\n\n".encode()), ("no characters", b"data: \xff\xfe\x00\n\n"),
        ("no space", b"data:a\n\n"),
        ("retry", b"retry: 10\n\ndata: a\n\n"), ("an error inside", b'event: error\ndata: {"type":"error"}\n\n'),
        ("after the end", b"data: [DONE]\n\ndata: more\n\n"), ("a long line", b"data: " + b"x" * 200_000 + b"\n\n"),
    ):  # fmt: skip
        whole = (chunk(body) if body else b"") + LAST_CHUNK
        yield Case(f"events: {name}", steps=answering(b"200 OK", EVENT_STREAM, CHUNKED, body=whole))
        if len(body) < 200:
            bytewise = [send(chunk(b"%c" % byte)) for byte in body]
            steps = (READ, head(EVENT_STREAM, CHUNKED), *bytewise, send(LAST_CHUNK))
            yield Case(f"events a byte at a time: {name}", steps=steps)
            steps = (
                *answering(b"200 OK", b"content-type: Text/Event-Stream; charset=utf-8", body=body),
                CLOSE,
            )
            yield Case(f"events until the connection ends: {name}", steps=steps)
