"""The dialect's errors: `{"detail": [{"loc", "msg", "type"}]}`, as FastAPI draws what it finds wrong.

Source: FastAPI, "Handling Errors", https://fastapi.tiangolo.com/tutorial/handling-errors/
"""

from __future__ import annotations

import orjson
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from gateway.errors import (
    Ambiguous,
    BadInput,
    Forbidden,
    GatewayError,
    TooLarge,
    Unauthorized,
    Unprocessable,
)
from gateway.web.validation import IDEMPOTENCY_KEY

Steps = tuple[str | int, ...]

_PLACES: dict[str | None, Steps] = {
    IDEMPOTENCY_KEY: ("header", IDEMPOTENCY_KEY),
    "feedback_id": ("path", "feedback_id"),
    "limit": ("query", "limit"),
    "body": ("body",),
}


class Detail(BaseModel):
    """One thing that is wrong."""

    loc: list[str | int] = Field(description="Where: body, query, path or header, and the way from there.")
    msg: str
    type: str = Field(description="Stable name of what is wrong.")


class ErrorResponse(BaseModel):
    """All that is wrong; nothing was stored."""

    detail: list[Detail]


class Invalid(Unprocessable):
    """Values that are not allowed, each with its place.

    Args:
        details: at least one.
    """

    def __init__(self, details: list[Detail]) -> None:
        super().__init__(details[0].msg)
        self.details = details


def invalid(error: ValidationError, place: str, *steps: str) -> Invalid:
    """Return pydantic's findings about what came in `place`: one detail each."""
    return Invalid(
        [
            Detail(
                loc=[place, *steps, *found["loc"]],
                msg=found["msg"].removeprefix("Value error, "),
                type=found["type"],
            )
            for found in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    )


def draw_error(error: GatewayError) -> web.Response:
    """Draw an error in this dialect, which says 422 for all that is wrong with a request's content."""
    details = error.details if isinstance(error, Invalid) else [_detail(error)]
    body = ErrorResponse(detail=details).model_dump()
    status = 422 if error.status == BadInput.status else error.status
    # A message or a step may quote what is no UTF-8.
    text = orjson.dumps(_encodable(body))
    return web.Response(status=status, body=text, content_type="application/json")


def _detail(error: GatewayError) -> Detail:
    place = _place(error)
    message = f"{error.message} {error.hint}" if error.hint else error.message
    is_inside_body = place == ("body",) and error.field not in (None, "body")
    return Detail(
        loc=list(place), msg=f"{error.field}: {message}" if is_inside_body else message, type=_type(error)
    )


def _place(error: GatewayError) -> Steps:
    if error.field in _PLACES:
        return _PLACES[error.field]
    if isinstance(error, Unauthorized | Forbidden):
        return ("header", "Authorization")
    if isinstance(error, Ambiguous) and error.field:
        return ("body", error.field)
    return ("body",) if isinstance(error, BadInput) else ()


def _type(error: GatewayError) -> str:
    if not isinstance(error, BadInput) or isinstance(error, TooLarge):
        return error.code
    return "value_error" if error.field == IDEMPOTENCY_KEY else "json_invalid"


def _encodable(value: object) -> object:
    if isinstance(value, dict):
        return {name: _encodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
