"""Heads and bodies of a logged request as the native API shows them."""

from __future__ import annotations

import base64
import codecs
from typing import Literal

from pydantic import Field

from gateway.api.native.replies import Shape, embed, embed_text
from gateway.domain.exchange import RawHeaders
from gateway.query import LoggedRequest, Message

Encoding = Literal["json", "text", "base64"]


class HeaderShape(Shape):
    name: str
    value: str


class BodyShape(Shape):
    """A body with its content-encoding undone."""

    encoding: Encoding = Field(
        description="`json`: content is the JSON value that was sent. `text`: a string, for UTF-8 that is no "
        "JSON, event streams among it. `base64`: a string, for all else."
    )
    content: object
    truncated: bool = Field(description="Whether only the beginning was kept.")
    size: int = Field(description="Bytes on the wire, however many were kept.")


class RequestMessage(Shape):
    headers: list[HeaderShape] = Field(description="In their order on the wire, secrets replaced.")
    body: BodyShape


class ResponseMessage(RequestMessage):
    reassembled: object = Field(
        description="A stream put together as the object that the same call would have returned without "
        "streaming; null where the response is no stream of a known format."
    )


def request_message(logged: LoggedRequest) -> RequestMessage | None:
    """Show what was sent upstream; None where no payload was kept."""
    if logged.request is None:
        return None
    return RequestMessage(headers=_headers(logged.request.headers), body=_body(logged.request))


def response_message(logged: LoggedRequest) -> ResponseMessage | None:
    """Show what came back; None where no payload was kept."""
    if logged.response is None:
        return None
    return ResponseMessage(
        headers=_headers(logged.response.headers),
        body=_body(logged.response),
        reassembled=embed(logged.reassembled),
    )


def _headers(headers: RawHeaders) -> list[HeaderShape]:
    return [HeaderShape(name=_printable(name), value=_printable(value)) for name, value in headers]


def _printable(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _body(message: Message) -> BodyShape:
    encoding, content = _readable(message.body, message.is_truncated)
    return BodyShape(
        encoding=encoding, content=content, truncated=message.is_truncated, size=message.size_bytes
    )


def _readable(body: bytes, is_truncated: bool) -> tuple[Encoding, object]:
    if value := embed_text(body):
        return "json", value
    try:
        # A cut may fall inside a character; what is left of it is no reason to call the rest binary.
        text = codecs.getincrementaldecoder("utf-8")().decode(body, final=not is_truncated)
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode()
    return "text", text
