"""Responses of the native API: JSON, CSV, errors and erasure results."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, get_args, get_origin

import orjson
from aiohttp import web
from pydantic import Field

from gateway.datasets.text_files import guard_formula
from gateway.errors import Ambiguous, BadInput, GatewayError
from gateway.models.request import ErasureScope
from gateway.query.erasure import ErasureService
from gateway.web import endpoint
from gateway.web.endpoint import NO_STORE, Schema
from gateway.web.middleware import log_unexpected_error
from gateway.web.query_params import Boolean, QueryParams
from gateway.wire.json_fields import parse_json

NextCursor = Annotated[
    str | None, Field(description="Send it as `cursor` to continue; null after the last item.")
]
UnknownKeys = Annotated[
    list[str],
    Field(
        description="Metadata keys of the query that no record of its time range has; listed only where nothing "
        "was found, since a name may be misspelt."
    ),
]


def refuse_unknown_keys(names: Sequence[str]) -> None:
    """Raise BadInput for unknown metadata keys, for responses that have no field to list them in."""
    if names:
        raise BadInput("is a metadata key that no record of this time range has.", field=names[0])


class ErrorDetail(Schema):
    code: str = Field(description="Stable name of what went wrong.")
    message: str = Field(description="What is wrong and how to fix it, for people.")
    field: str | None = Field(description="The parameter or field to blame; null where there is none.")


class Candidate(Schema):
    """One of the records that an ambiguous id names."""

    trace_id: str
    request_id: str | None = Field(description="Null for a trace as a whole.")
    response_id: str | None = Field(description="The provider's id of its response, if it is known.")
    tenant: str | None
    row: int = Field(description="The parameter `row` takes it, and so reads a request that shares all ids.")


class AmbiguousDetail(ErrorDetail):
    candidates: list[Candidate] = Field(description="What the id names, the newest first, at most 10.")


class ErrorReply(Schema):
    error: AmbiguousDetail | ErrorDetail


# Prompts and answers must stay in no cache, and no browser may guess their type.
NO_STORE_HEADERS = {**NO_STORE, "X-Content-Type-Options": "nosniff"}
json_response = partial(endpoint.json_response, headers=NO_STORE_HEADERS)


def render_error(error: GatewayError) -> web.Response:
    """Return an error as `{"error": {"code", "message", "field"}}`."""
    message = f"{error.message} {error.hint}" if error.hint else error.message
    detail = ErrorDetail(code=error.code, message=message, field=error.field)
    if isinstance(error, Ambiguous):
        candidates = [Candidate.model_validate(candidate) for candidate in error.candidates]
        detail = AmbiguousDetail(**dict(detail), candidates=candidates)
    return json_response(ErrorReply(error=detail), error.status)


def embed_json(value: object) -> orjson.Fragment:
    """Return a JSON value for a response, whatever its depth and the size of its numbers."""
    try:
        return orjson.Fragment(orjson.dumps(value))
    except orjson.JSONEncodeError:
        # orjson refuses deep nesting and integers beyond 64 bits; the standard library writes both.
        return orjson.Fragment(json.dumps(value))


def embed_json_text(text: str | bytes) -> orjson.Fragment | None:
    """Return JSON text for a response, digit for digit; None for text that is not JSON."""
    try:
        parse_json(text)
    except orjson.JSONDecodeError:
        return None
    return orjson.Fragment(text)


CSV_TYPE = "text/csv"

# How long a caller may take to receive one part of a download.
WRITE_SECONDS = 60.0


def to_csv(schema: type[Schema], rows: Iterable[Schema], *, has_header: bool = True) -> str:
    """Return rows as CSV: nested fields as `outer_inner` columns, null as empty, objects and lists as JSON."""
    paths = list(_columns(schema))
    text = io.StringIO()
    writer = csv.writer(text)
    if has_header:
        writer.writerow(["_".join(path) for path in paths])
    writer.writerows([_cell(_column_value(row, path)) for path in paths] for row in rows)
    return text.getvalue()


def wants_csv(request: web.Request, wanted_format: str | None) -> bool:
    """Tell whether a caller wants CSV instead of JSON: by `format`, else by the `Accept` header."""
    accepts_csv = CSV_TYPE in request.headers.get("Accept", "")
    return wanted_format == "csv" or (wanted_format is None and accepts_csv)


def csv_response(
    request: web.Request, name: str, schema: type[Schema], rows: Sequence[Schema], cursor: str | None
) -> web.Response:
    """Return rows as a CSV download; a `Link` header leads to the next page."""
    headers = _download_headers(f"{name}.csv")
    if cursor is not None:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=cursor)}>; rel="next"'
    return web.Response(text=to_csv(schema, rows), content_type=CSV_TYPE, charset="utf-8", headers=headers)


async def stream_csv(
    request: web.Request, name: str, schema: type[Schema], pages: AsyncIterator[Sequence[Schema]]
) -> web.StreamResponse:
    """Return rows as a CSV download, page by page."""

    async def chunks() -> AsyncIterator[bytes]:
        has_header = True
        async for rows in pages:
            yield to_csv(schema, rows, has_header=has_header).encode()
            has_header = False

    return await stream_file(request, f"{name}.csv", f"{CSV_TYPE}; charset=utf-8", chunks())


async def stream_file(
    request: web.Request, name: str, content_type: str, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Return a download as it is made; a caller who stops reading is cut off."""
    # The first chunk is made before the status is sent, so that a bad query is still answered with 400.
    first = b""
    async for first in chunks:
        if first:
            break
    headers = {"Content-Type": content_type, "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers={**_download_headers(name), **headers})
    await response.prepare(request)
    if request.method == "HEAD":
        await response.write_eof()
        return response
    try:
        await _write_in_time(response, first)
        async for data in chunks:
            await _write_in_time(response, data)
    except ConnectionError:
        raise
    except Exception as error:
        if not isinstance(error, GatewayError | TimeoutError):
            log_unexpected_error(request.path)
        # The status is sent already, and a truncated file must not look complete.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


async def _write_in_time(response: web.StreamResponse, data: bytes) -> None:
    if data:
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(data)


def _download_headers(name: str) -> dict[str, str]:
    return {**NO_STORE_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}


def _columns(schema: type[Schema], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
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
        value = orjson.dumps(value, default=Schema.model_dump).decode()
    return guard_formula(value) if isinstance(value, str) else value


class ErasureParams(QueryParams):
    dry_run: Boolean = Field(False, description="`true`: only count what would be erased.")


class ErasedReply(Schema):
    requests: int = Field(description="Requests of which only anonymous metrics are left.")
    feedback: int = Field(description="Feedback entries of which nothing is left.")
    dry_run: bool = Field(description="Whether nothing was erased, only counted.")


def target_without_person(request: web.Request) -> str | None:
    """Return the target for the audit log: never the person's name, which the erasure removes."""
    return "dry_run=true" if request.query.get("dry_run") == "true" else None


async def erase(eraser: ErasureService, scope: ErasureScope, is_dry: bool) -> ErasedReply:
    """Erase a scope unless `is_dry`, and return what it holds."""
    if not is_dry:
        await eraser.erase(scope)
    return ErasedReply(requests=len(scope.request_seqs), feedback=len(scope.feedback_ids), dry_run=is_dry)
