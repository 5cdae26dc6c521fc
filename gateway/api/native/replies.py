"""How the native API answers: JSON of a model, and errors in one shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Ambiguous, BadInput, GatewayError
from gateway.wire.json_text import loads


class Shape(BaseModel):
    """A reply, or a part of one."""

    model_config = ConfigDict(frozen=True)


NextCursor = Annotated[
    str | None, Field(description="Send it as `cursor` to go on; null where there is no more.")
]
"""Where the next slice of a list begins."""


UnknownKeys = Annotated[
    list[str],
    Field(
        description="Metadata that the question names and nothing of its time has: told where nothing was found "
        "for it, since the name may be misspelt."
    ),
]


def refuse_unknown_keys(names: Sequence[str]) -> None:
    """Raise BadInput where an answer that has no place for it would have to name unknown keys."""
    if names:
        raise BadInput("is metadata that nothing of this time has.", field=names[0])


class ErrorDetail(Shape):
    code: str = Field(description="Stable name of what went wrong.")
    message: str = Field(description="What is wrong and what to do about it, for people.")
    field: str | None = Field(description="The parameter to blame; null where none is.")


class Candidate(Shape):
    """Something that an ambiguous id names, by the ids that it has."""

    trace_id: str
    request_id: str | None = Field(description="Null for a trace as a whole.")
    response_id: str | None = Field(description="The provider's id of its response, if it is known.")
    tenant: str | None


class AmbiguousDetail(ErrorDetail):
    candidates: list[Candidate] = Field(description="What the id names, the newest first, at most 10.")


class ErrorReply(Shape):
    error: AmbiguousDetail | ErrorDetail


PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of replies: prompts and answers are kept by no cache, and no browser guesses at their type."""


def reply(shape: Shape, status: int = 200) -> web.Response:
    """Answer with a shape as JSON."""
    body = orjson.dumps(shape.model_dump())
    return web.Response(body=body, status=status, content_type="application/json", headers=PRIVATE)


def draw_error(error: GatewayError) -> web.Response:
    """Draw an error as `{"error": {"code", "message", "field"}}`."""
    message = f"{error.message} {error.hint}" if error.hint else error.message
    detail = ErrorDetail(code=error.code, message=message, field=error.field)
    if isinstance(error, Ambiguous):
        candidates = [Candidate.model_validate(candidate) for candidate in error.candidates]
        detail = AmbiguousDetail(**dict(detail), candidates=candidates)
    return reply(ErrorReply(error=detail), error.status)


def embed(value: object) -> orjson.Fragment:
    """Return a JSON value in a form that a reply takes whatever its depth and the size of its numbers."""
    try:
        return orjson.Fragment(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return orjson.Fragment(json.dumps(value))


def embed_text(text: str | bytes) -> orjson.Fragment | None:
    """Return JSON text for a reply as it is, digit for digit; None if it is no JSON."""
    try:
        loads(text)
    except orjson.JSONDecodeError:
        return None
    return orjson.Fragment(text)
