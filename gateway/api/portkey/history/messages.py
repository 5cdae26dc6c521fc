"""A request or a response inside a log: its body alone, or the message around it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.exchange import RawHeaders
from gateway.web.exported import body_of

_AROUND = {"headers", "url", "status", "portkeyHeaders"}
"""What is beside the body of a whole message, of which at least one is there."""

_OF_ITS_BYTES = "content-encoding"
"""The header that speaks of bytes which the body in a log no longer is."""


@dataclass(frozen=True, slots=True)
class Message:
    """One direction of a logged request."""

    body: object
    headers: RawHeaders = ()
    status: int | None = None
    url: str | None = None


def read_message(value: object) -> Message:
    """Return what the field of a log holds.

    Raises:
        BadInput: a header is nested too deeply to be written.
    """
    if not isinstance(value, dict) or "body" not in value or _AROUND.isdisjoint(value):
        return Message(value)
    status, url = value.get("status"), value.get("url")
    return Message(
        body=value["body"],
        headers=read_headers(value.get("headers")) + read_headers(value.get("portkeyHeaders")),
        status=status if isinstance(status, int) and 0 < status <= 999 else None,
        url=url if isinstance(url, str) else None,
    )


def read_headers(fields: object) -> RawHeaders:
    """Return the header fields in an object; none if it is no object. Values that are no text become JSON."""
    if not isinstance(fields, dict):
        return ()
    return tuple(
        (name.encode(), body_of(value, "headers"))
        for name, value in fields.items()
        if name.lower() != _OF_ITS_BYTES
    )
