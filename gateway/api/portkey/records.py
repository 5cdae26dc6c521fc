"""What Portkey's names mean of a logged request, wherever they stand: in its log object and in exports.

Source: the schema AnalyticsMetrics of https://github.com/Portkey-AI/openapi, and Portkey's page on the export of
logs, which says that `cost` is in cents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

import orjson

from gateway.api.portkey.values import NANOUSD_A_CENT
from gateway.domain.exchange import was_proxied
from gateway.domain.request import RequestRecord
from gateway.query import LoggedRequest, Message
from gateway.wire.json_text import loads

UrlOf = Callable[[str, str], str | None]
"""Tells the URL that a provider of this name was asked at, for a caller's path; None where it is not known."""

CURRENCY = "USD"
MODE = "single"
"""How a provider was chosen: there was only the one that was asked."""


def is_success(record: RequestRecord) -> bool:
    """Tell whether the status was one of success."""
    return record.status is not None and HTTPStatus.OK <= record.status < HTTPStatus.MULTIPLE_CHOICES


def cents(record: RequestRecord) -> float | None:
    """Return the cost in US cents."""
    return None if record.cost_nanousd is None else record.cost_nanousd / NANOUSD_A_CENT


def response_ms(record: RequestRecord) -> int:
    """Return the whole milliseconds from a request's arrival to the end of its response."""
    return (record.ended_at_us - record.started_at_us) // 1000


def request_url(record: RequestRecord, url_of: UrlOf) -> str:
    """Return where the provider was asked; the caller's path, where that is not known."""
    if not was_proxied(record.path):
        return record.path
    return url_of(record.provider, record.path) or record.path


def request_body(logged: LoggedRequest) -> bytes | None:
    """Return what was sent as JSON on one line; see `_as_json`."""
    return _as_json(logged.request)


def response_body(logged: LoggedRequest) -> bytes | None:
    """Return what was answered as JSON on one line, a stream put together; see `_as_json`."""
    if isinstance(logged.reassembled, Mapping):
        return orjson.dumps(logged.reassembled)
    return _as_json(logged.response)


def _as_json(message: Message | None) -> bytes | None:
    """JSON as it was sent, digit for digit; other text as a string; None for the rest."""
    if message is None or not message.body:
        return None
    try:
        loads(message.body)
        # Between the tokens of JSON a line break is as good as a space, and inside them there is none.
        return message.body.replace(b"\r", b" ").replace(b"\n", b" ")
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.dumps(message.body.decode())
    except UnicodeDecodeError:
        return None
