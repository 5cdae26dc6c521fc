"""Responses of the native API: JSON, CSV, errors and erasure results."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Annotated, get_args, get_origin

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Ambiguous, BadInput, GatewayError
from gateway.models.request import ErasureScope
from gateway.query.erasure import ErasureService
from gateway.web.endpoint import Parameter
from gateway.web.middleware import log_unexpected_error
from gateway.wire.json_fields import parse_json


class Schema(BaseModel):
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


class ErrorDetail(Schema):
    code: str = Field(description="Stable name of what went wrong.")
    message: str = Field(description="What is wrong and what to do about it, for people.")
    field: str | None = Field(description="The parameter to blame; null where none is.")


class Candidate(Schema):
    """Something that an ambiguous id names, by the ids that it has."""

    trace_id: str
    request_id: str | None = Field(description="Null for a trace as a whole.")
    response_id: str | None = Field(description="The provider's id of its response, if it is known.")
    tenant: str | None


class AmbiguousDetail(ErrorDetail):
    candidates: list[Candidate] = Field(description="What the id names, the newest first, at most 10.")


class ErrorReply(Schema):
    error: AmbiguousDetail | ErrorDetail


NO_STORE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of replies: prompts and answers are kept by no cache, and no browser guesses at their type."""


def json_response(schema: Schema, status: int = 200) -> web.Response:
    """Answer with a shape as JSON."""
    body = orjson.dumps(schema.model_dump())
    return web.Response(body=body, status=status, content_type="application/json", headers=NO_STORE_HEADERS)


def render_error(error: GatewayError) -> web.Response:
    """Draw an error as `{"error": {"code", "message", "field"}}`."""
    message = f"{error.message} {error.hint}" if error.hint else error.message
    detail = ErrorDetail(code=error.code, message=message, field=error.field)
    if isinstance(error, Ambiguous):
        candidates = [Candidate.model_validate(candidate) for candidate in error.candidates]
        detail = AmbiguousDetail(**dict(detail), candidates=candidates)
    return json_response(ErrorReply(error=detail), error.status)


def embed_json(value: object) -> orjson.Fragment:
    """Return a JSON value in a form that a reply takes whatever its depth and the size of its numbers."""
    try:
        return orjson.Fragment(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return orjson.Fragment(json.dumps(value))


def embed_json_text(text: str | bytes) -> orjson.Fragment | None:
    """Return JSON text for a reply as it is, digit for digit; None if it is no JSON."""
    try:
        parse_json(text)
    except orjson.JSONDecodeError:
        return None
    return orjson.Fragment(text)


CSV_TYPE = "text/csv"
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(schema: type[Schema], rows: Iterable[Schema], *, has_header: bool = True) -> str:
    """Write rows of one shape. A column is named by the path to it (`cost_usd`), what is null is empty, objects and
    lists are JSON, and a text that a spreadsheet would take for a formula has a `'` before it.

    Args:
        has_head: whether the names of the columns come first.
    """
    paths = list(_columns(schema))
    text = io.StringIO()
    writer = csv.writer(text)
    if has_header:
        writer.writerow(["_".join(path) for path in paths])
    writer.writerows([_cell(_column_value(row, path)) for path in paths] for row in rows)
    return text.getvalue()


def wants_csv(request: web.Request) -> bool:
    """Tell whether a caller asks for CSV instead of JSON. Raises BadInput for another format."""
    wanted = request.query.get("format")
    if wanted not in (None, "json", "csv"):
        raise BadInput("must be json or csv.", field="format")
    return wanted == "csv" or (wanted is None and CSV_TYPE in request.headers.get("Accept", ""))


def csv_response(
    request: web.Request, name: str, schema: type[Schema], rows: Sequence[Schema], cursor: str | None
) -> web.Response:
    """Answer with rows as a file; a header leads to those that follow."""
    headers = _download_headers(name)
    if cursor is not None:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=cursor)}>; rel="next"'
    return web.Response(text=to_csv(schema, rows), content_type=CSV_TYPE, charset="utf-8", headers=headers)


async def stream_csv(
    request: web.Request, name: str, schema: type[Schema], slices: AsyncIterator[Sequence[Schema]]
) -> web.StreamResponse:
    """Answer with rows as a file, slice by slice as they come."""
    first = await anext(slices, ())
    response = web.StreamResponse(
        headers={
            **_download_headers(name),
            "Content-Type": f"{CSV_TYPE}; charset=utf-8",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    if request.method == "HEAD":
        await response.write_eof()
        return response
    try:
        await response.write(to_csv(schema, first).encode())
        async for rows in slices:
            await response.write(to_csv(schema, rows, has_header=False).encode())
    except ConnectionError:
        raise
    except Exception as error:
        if not isinstance(error, GatewayError):
            log_unexpected_error(request.path)
        # The status is sent, and what is cut short must not look whole.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _download_headers(name: str) -> dict[str, str]:
    return {**NO_STORE_HEADERS, "Content-Disposition": f'attachment; filename="{name}.csv"'}


def _columns(schema: type[Schema], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The steps to each field of a shape that holds no further ones."""
    for name, field in schema.model_fields.items():
        is_list = get_origin(field.annotation) is list
        kinds = () if is_list else get_args(field.annotation) or (field.annotation,)
        below = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Schema)), None)
        if below is None:
            yield (*before, name)
        else:
            yield from _columns(below, (*before, name))


def _column_value(row: object, path: tuple[str, ...]) -> object:
    for name in path:
        row = None if row is None else getattr(row, name)
    return row


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, orjson.Fragment | list | dict):
        value = orjson.dumps(value, default=_dump_schema).decode()
    if isinstance(value, str) and value.startswith(_BEGINS_A_FORMULA):
        return f"'{value}"
    return value


def _dump_schema(value: object) -> object:
    assert isinstance(value, Schema)
    return value.model_dump()


DRY_RUN = Parameter(
    "dry_run",
    "`true`: say how much would be erased, and erase nothing.",
    {"type": "boolean", "default": False},
)


class ErasedReply(Schema):
    requests: int = Field(description="Requests of which only the figures are left.")
    feedback: int = Field(description="Entries of which nothing is left.")
    dry_run: bool = Field(description="Whether nothing was erased, only counted.")


def target_without_person(request: web.Request) -> str | None:
    """Return what stands in the audit log: not who was erased, only whether nobody was."""
    return f"{DRY_RUN.name}=true" if request.query.get(DRY_RUN.name) == "true" else None


async def erase_response(eraser: ErasureService, belongings: ErasureScope, is_dry: bool) -> web.Response:
    """Erase what was found, or only count it, and reply."""
    if not is_dry:
        await eraser.erase(belongings)
    erased = ErasedReply(
        requests=len(belongings.request_seqs), feedback=len(belongings.feedback_ids), dry_run=is_dry
    )
    return json_response(erased)
