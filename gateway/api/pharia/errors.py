"""Errors of the Pharia API: `{"detail": [{"loc", "msg", "type"}]}`, as FastAPI with pydantic 1 returns them.

Source: FastAPI, "Handling Errors", https://fastapi.tiangolo.com/tutorial/handling-errors/
"""

import json
from collections.abc import Mapping

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from gateway import errors
from gateway.web.bodies import IDEMPOTENCY_KEY

Location = tuple[str | int, ...]

_FIELD_LOCATIONS: dict[str | None, Location] = {
    IDEMPOTENCY_KEY: ("header", IDEMPOTENCY_KEY),
    "feedback_id": ("path", "feedback_id"),
    "limit": ("query", "limit"),
    "body": ("body",),
}


_NONE_ERROR = ("none is not an allowed value", "type_error.none.not_allowed")
_INTEGER_ERROR = ("value is not a valid integer", "type_error.integer")
_UUID_ERROR = ("value is not a valid uuid", "type_error.uuid")
# Message and type in pydantic 1, by the type in pydantic 2.
_PYDANTIC_1_ERRORS: Mapping[str, tuple[str, str]] = {
    "missing": ("field required", "value_error.missing"),
    "string_type": ("str type expected", "type_error.str"),
    "string_too_short": (
        "ensure this value has at least {min_length} characters",
        "value_error.any_str.min_length",
    ),
    "string_too_long": (
        "ensure this value has at most {max_length} characters",
        "value_error.any_str.max_length",
    ),
    "dict_type": ("value is not a valid dict", "type_error.dict"),
    "int_type": _INTEGER_ERROR,
    "int_parsing": _INTEGER_ERROR,
    "int_parsing_size": _INTEGER_ERROR,
    "greater_than_equal": ("ensure this value is greater than or equal to {ge}", "value_error.number.not_ge"),
    "less_than_equal": ("ensure this value is less than or equal to {le}", "value_error.number.not_le"),
    "uuid_type": _UUID_ERROR,
    "uuid_parsing": _UUID_ERROR,
    "extra_forbidden": ("extra fields not permitted", "value_error.extra"),
}


class InvalidTime(ValueError):
    """A text that is neither a date nor a time."""


class Detail(BaseModel):
    """One error."""

    loc: list[str | int] = Field(description="Body, query, path or header, and the path from there.")
    msg: str
    type: str = Field(description="Stable name of the error.")


class ErrorResponse(BaseModel):
    """All errors; nothing was stored."""

    detail: list[Detail]


class ValidationFailed(errors.Unprocessable):
    """Bad values, each with its location; at least one."""

    def __init__(self, details: list[Detail]) -> None:
        super().__init__(details[0].msg)
        self.details = details


def validation_failed(error: ValidationError, place: str) -> ValidationFailed:
    """Return pydantic's errors, one detail each.

    Args:
        place: `body` or `query`.
    """
    details = []
    for found in error.errors(include_url=False):
        msg, kind = _pydantic_1_error(found["type"], found["msg"], found["input"], found.get("ctx", {}))
        details.append(Detail(loc=[place, *found["loc"]], msg=msg, type=kind))
    return ValidationFailed(details)


def render_error(error: errors.GatewayError) -> web.Response:
    """Return an error in this format."""
    details = error.details if isinstance(error, ValidationFailed) else [_detail(error)]
    body = ErrorResponse(detail=details).model_dump()
    # FastAPI has one status for every error in the content of a request.
    status = 422 if error.status == errors.BadInput.status else error.status
    # A message or a location may quote text that is not UTF-8, which orjson refuses.
    text = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return web.Response(status=status, body=text, content_type="application/json")


def _detail(error: errors.GatewayError) -> Detail:
    place = _location_of(error)
    if isinstance(error, errors.NotFound) and place:
        return Detail(loc=list(place), msg="Feedback not found", type=error.code)
    message = f"{error.message} {error.hint}" if error.hint else error.message
    is_inside_body = place == ("body",) and error.field not in (None, "body")
    msg = f"{error.field}: {message}" if is_inside_body else message
    return Detail(loc=list(place), msg=msg, type=_error_type(error))


def _pydantic_1_error(kind: str, msg: str, given: object, context: Mapping[str, object]) -> tuple[str, str]:
    if given is None and kind.endswith("_type"):
        return _NONE_ERROR
    if kind == "value_error":
        is_time = isinstance(context["error"], InvalidTime)
        return str(context["error"]), "value_error.datetime" if is_time else kind
    known = _PYDANTIC_1_ERRORS.get(kind)
    return (known[0].format(**context), known[1]) if known else (msg, kind)


def _location_of(error: errors.GatewayError) -> Location:
    if error.field in _FIELD_LOCATIONS:
        return _FIELD_LOCATIONS[error.field]
    if isinstance(error, errors.Unauthorized | errors.Forbidden):
        return ("header", "Authorization")
    if isinstance(error, errors.Ambiguous) and error.field:
        return ("body", error.field)
    return ("body",) if isinstance(error, errors.BadInput) else ()


def _error_type(error: errors.GatewayError) -> str:
    if not isinstance(error, errors.BadInput) or isinstance(error, errors.TooLarge):
        return error.code
    return "value_error" if error.field == IDEMPOTENCY_KEY else "value_error.jsondecode"
