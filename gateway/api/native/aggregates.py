"""`/api/v1/aggregates`: figures of many requests, split by anything that is known of them and by time."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import Field

from gateway.api.native.figures import TimedFigures, timed_figures
from gateway.api.native.questions import AGGREGATE_PARAMETERS, read_aggregate_question
from gateway.api.native.replies import PRIVATE, NextCursor, Shape, reply
from gateway.api.native.shapes import Time, rfc_3339
from gateway.api.native.table import to_csv
from gateway.domain.filter import Scalar
from gateway.domain.principal import Principal, Role
from gateway.errors import BadInput
from gateway.query import Figures, Ranked, Ranking
from gateway.web.face import Endpoint

CSV = "text/csv"


class CellFields(Shape):
    bucket: Time | None = Field(description="When its piece of time begins; null without `bucket`.")
    group: Scalar = Field(
        description="The value that is grouped by; null for requests that have none, and without `group_by`."
    )


class AggregateRow(TimedFigures, CellFields):
    """The figures of the requests that have this value and started in this piece of time."""

    @classmethod
    def of(cls, part: Figures) -> AggregateRow:
        return cls.model_validate(
            {
                "bucket": rfc_3339(part.cell.starts_at_us),
                "group": part.cell.value,
                **timed_figures(part.usage, part.verdicts, part.latencies),
            }
        )


class AggregateReply(Shape):
    data: list[AggregateRow] = Field(
        description="In the order of time; within a time in the order asked for."
    )
    next_cursor: NextCursor


class AggregateEndpoints:
    """Handler of the figures' path."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking = ranking

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the path and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/aggregates",
                handler=self._find,
                role=Role.READ,
                summary="Figures of many requests",
                description="Of the requests that meet all conditions: how many, what they cost and took, and what "
                "was said of them. Without `group_by` and `bucket` there is one row; parts without requests have "
                "none.",
                parameters=AGGREGATE_PARAMETERS,
                reply=AggregateReply,
                reply_types=(CSV,),
                failures=(400, 413, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        asked = read_aggregate_question(request.query.items(), principal.tenant)
        is_csv = _wants_csv(request)
        found = await self._ranking.find(asked.question, asked.order, asked.page)
        # Percentiles of a thousand rows take long, and other callers' streams go through this thread.
        rows = await asyncio.to_thread(_rows, found)
        if is_csv:
            return _download(request, rows, found)
        return reply(AggregateReply(data=rows, next_cursor=_cursor(found)))


def _rows(found: Ranked) -> list[AggregateRow]:
    return [AggregateRow.of(part) for part in found.figures]


def _cursor(found: Ranked) -> str | None:
    return None if found.next_offset is None else str(found.next_offset)


def _wants_csv(request: web.Request) -> bool:
    wanted = request.query.get("format")
    if wanted not in (None, "json", "csv"):
        raise BadInput("must be json or csv.", field="format")
    return wanted == "csv" or (wanted is None and CSV in request.headers.get("Accept", ""))


def _download(request: web.Request, rows: list[AggregateRow], found: Ranked) -> web.Response:
    headers = {**PRIVATE, "Content-Disposition": 'attachment; filename="aggregates.csv"'}
    if (cursor := _cursor(found)) is not None:
        headers["Link"] = f'<{request.rel_url.update_query(cursor=cursor)}>; rel="next"'
    return web.Response(text=to_csv(AggregateRow, rows), content_type=CSV, charset="utf-8", headers=headers)
