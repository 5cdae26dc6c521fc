"""Rows as CSV, for spreadsheets.

Source: RFC 4180; OWASP on CSV injection, https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import get_args, get_origin

import orjson
from aiohttp import web

from gateway.api.native.replies import PRIVATE, Shape
from gateway.errors import BadInput, GatewayError
from gateway.web.guard import unexpected

CSV = "text/csv"
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(shape: type[Shape], rows: Iterable[Shape], *, has_head: bool = True) -> str:
    """Write rows of one shape. A column is named by the path to it (`cost_usd`), what is null is empty, objects and
    lists are JSON, and a text that a spreadsheet would take for a formula has a `'` before it.

    Args:
        has_head: whether the names of the columns come first.
    """
    leaves = list(_leaves(shape))
    text = io.StringIO()
    writer = csv.writer(text)
    if has_head:
        writer.writerow(["_".join(leaf) for leaf in leaves])
    writer.writerows([_cell(_value(row, leaf)) for leaf in leaves] for row in rows)
    return text.getvalue()


def wants_csv(request: web.Request) -> bool:
    """Tell whether a caller asks for CSV instead of JSON. Raises BadInput for another format."""
    wanted = request.query.get("format")
    if wanted not in (None, "json", "csv"):
        raise BadInput("must be json or csv.", field="format")
    return wanted == "csv" or (wanted is None and CSV in request.headers.get("Accept", ""))


def csv_page(
    request: web.Request, name: str, shape: type[Shape], rows: Sequence[Shape], cursor: str | None
) -> web.Response:
    """Answer with rows as a file; a header leads to those that follow."""
    headers = _headers(name)
    if cursor is not None:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=cursor)}>; rel="next"'
    return web.Response(text=to_csv(shape, rows), content_type=CSV, charset="utf-8", headers=headers)


async def csv_stream(
    request: web.Request, name: str, shape: type[Shape], slices: AsyncIterator[Sequence[Shape]]
) -> web.StreamResponse:
    """Answer with rows as a file, slice by slice as they come."""
    first = await anext(slices, ())
    response = web.StreamResponse(
        headers={**_headers(name), "Content-Type": f"{CSV}; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    if request.method == "HEAD":
        await response.write_eof()
        return response
    try:
        await response.write(to_csv(shape, first).encode())
        async for rows in slices:
            await response.write(to_csv(shape, rows, has_head=False).encode())
    except ConnectionError:
        raise
    except Exception as error:
        if not isinstance(error, GatewayError):
            unexpected(request.path)
        # The status is sent, and what is cut short must not look whole.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _headers(name: str) -> dict[str, str]:
    return {**PRIVATE, "Content-Disposition": f'attachment; filename="{name}.csv"'}


def _leaves(shape: type[Shape], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The steps to each field of a shape that holds no further ones."""
    for name, field in shape.model_fields.items():
        is_list = get_origin(field.annotation) is list
        kinds = () if is_list else get_args(field.annotation) or (field.annotation,)
        below = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Shape)), None)
        if below is None:
            yield (*before, name)
        else:
            yield from _leaves(below, (*before, name))


def _value(row: object, leaf: tuple[str, ...]) -> object:
    for name in leaf:
        row = None if row is None else getattr(row, name)
    return row


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, orjson.Fragment | list | dict):
        value = orjson.dumps(value, default=_plain).decode()
    if isinstance(value, str) and value.startswith(_BEGINS_A_FORMULA):
        return f"'{value}"
    return value


def _plain(value: object) -> object:
    assert isinstance(value, Shape)
    return value.model_dump()
