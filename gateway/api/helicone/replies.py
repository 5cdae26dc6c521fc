"""What Helicone's paths answer: `{"data": …, "error": …}`, one of them null."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from aiohttp import web
from pydantic import BaseModel

from gateway.api.helicone.rows import Row
from gateway.domain.feedback import Feedback
from gateway.errors import GatewayError
from gateway.web.feedback import joined_headers


class DoneReply(BaseModel):
    """What was asked for is done."""

    data: None = None
    error: None = None


class RowReply(BaseModel):
    """One request."""

    data: Row
    error: None = None


class RowsReply(BaseModel):
    """The requests found."""

    data: list[Row]
    error: None = None


class ErrorReply(BaseModel):
    """What was wrong; nothing was changed."""

    data: None = None
    error: str


def done(entries: Sequence[Feedback] = ()) -> web.Response:
    """Answer that something was stored: these entries, if it is feedback."""
    response = _reply(200, {"data": None, "error": None})
    response.headers.update(joined_headers(entries) if entries else {})
    return response


def one_row(row: Row) -> web.Response:
    """Answer with one request."""
    return _reply(200, {"data": row.model_dump(), "error": None})


def rows(found: Sequence[Row]) -> web.Response:
    """Answer with requests."""
    return _reply(200, {"data": [row.model_dump() for row in found], "error": None})


def draw_error(error: GatewayError) -> web.Response:
    """Draw an error the way Helicone does."""
    # A message may quote a path with bytes that are no UTF-8.
    return _reply(error.status, {"data": None, "error": str(error).encode(errors="replace").decode()})


def _reply(status: int, body: dict[str, object]) -> web.Response:
    # Prompts and answers are kept by no cache.
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
