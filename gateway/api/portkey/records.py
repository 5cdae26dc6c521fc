"""What Portkey's names mean of a logged request, wherever they stand: in its log object and in exports.

Source: the schema AnalyticsMetrics of https://github.com/Portkey-AI/openapi, and Portkey's page on the export of
logs, which says that `cost` is in cents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

import orjson

from gateway.domain.exchange import stated_model, was_proxied
from gateway.domain.request import NANO, RequestRecord
from gateway.query import LoggedRequest, Message

UrlOf = Callable[[str, str], str | None]
"""Tells the URL that a provider of this name was asked at, for a caller's path; None where it is not known."""

CURRENCY = "USD"
MODE = "single"
"""How a provider was chosen: there was only the one that was asked."""

_NANOUSD_A_CENT = NANO // 100


def is_success(record: RequestRecord) -> bool:
    """Tell whether the status was one of success."""
    return record.status is not None and HTTPStatus.OK <= record.status < HTTPStatus.MULTIPLE_CHOICES


def model_of(record: RequestRecord) -> str | None:
    """Return the model that the metadata states, or else the one that answered, or that was asked for."""
    models = (stated_model(record.metadata), record.model, record.requested_model)
    return next((name for name in models if name is not None), None)


def total_tokens(record: RequestRecord) -> int | None:
    """Return all tokens that were counted."""
    counted = [count for count in (record.prompt_tokens, record.completion_tokens) if count is not None]
    return sum(counted) if counted else None


def cents(record: RequestRecord) -> float | None:
    """Return the cost in US cents."""
    return None if record.cost_nanousd is None else record.cost_nanousd / _NANOUSD_A_CENT


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
        orjson.loads(message.body)
        # Between the tokens of JSON a line break is as good as a space, and inside them there is none.
        return message.body.replace(b"\r", b" ").replace(b"\n", b" ")
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.dumps(message.body.decode())
    except UnicodeDecodeError:
        return None
