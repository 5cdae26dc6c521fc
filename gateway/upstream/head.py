"""Writing a request's head: bytes as given, refused where they would not mean what they say."""

from __future__ import annotations

from gateway.domain.exchange import RawHeaders
from gateway.errors import BadInput
from gateway.upstream.message import OutgoingRequest

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def encode_head(request: OutgoingRequest) -> bytes:
    """Return request line and fields as they go on the wire (RFC 9112, sections 3 and 5).

    A target may hold bytes that are not UTF-8 as surrogate escapes; they go out as those bytes.

    Raises:
        BadInput: the method or a name is no token, or there is a line break or NUL (in the target, a space)
            that would let one part of the head pass for another.
    """
    method, target = _encode(request.method, "method"), _encode(request.target, "target")
    fields = request.headers
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    lines += [name + b": " + value for name, value in fields]
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    line_ends = len(fields) + 2
    if head.count(b"\n") != line_ends or head.count(b"\r") != line_ends or b"\0" in head:
        raise BadInput("there is a line break or NUL in it.", field=_offender(method, target, fields))
    if not target or b" " in target:
        raise BadInput("is empty or holds a space.", field="target")
    if not method or method.translate(None, _TOKEN):
        raise BadInput("is not an HTTP method.", field="method")
    names = [name for name, _ in fields]
    if b"" in names or b"".join(names).translate(None, _TOKEN):
        raise BadInput("there is a name that is not one of a header field.", field="headers")
    return head


def says_chunked(headers: RawHeaders) -> bool:
    """Tell whether these fields say that the body is sent as chunks (RFC 9112, section 6.1)."""
    codings = [value for name, value in headers if len(name) == 17 and name.lower() == b"transfer-encoding"]
    return bool(codings) and codings[-1].rpartition(b",")[2].strip().lower() == b"chunked"


def _encode(text: str, field: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadInput("holds a character that has no encoding.", field=field) from None


def _offender(method: bytes, target: bytes, fields: RawHeaders) -> str:
    parts = [("method", method), ("target", target)]
    parts += [(f"headers[{index}]", name + value) for index, (name, value) in enumerate(fields)]
    return next(name for name, part in parts if not {*part}.isdisjoint(b"\r\n\0"))
