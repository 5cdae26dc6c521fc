"""`/api/v1/aggregates`: figures of many requests, split by anything that is known of them and by time."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import Field

from gateway.api.native.figures import TimedFigures, timed_figures
from gateway.api.native.questions import AGGREGATE_PARAMETERS, read_aggregate_question
from gateway.api.native.replies import NextCursor, Shape, UnknownKeys, refuse_unknown_keys, reply
from gateway.api.native.shapes import Time, rfc_3339
from gateway.api.native.table import CSV, csv_page, wants_csv
from gateway.domain.filter import Scalar
from gateway.domain.principal import Principal, Role
from gateway.query import Figures, Ranked, Ranking
from gateway.web.face import Endpoint


class CellFields(Shape):
    bucket: Time | None = Field(description="When its piece of time begins; null without `bucket`.")
    group: Scalar = Field(
        description="The value that is grouped by; null for requests that have none, and without `group_by`."
    )
    second_group: Scalar = Field(
        description="The value of the second field that is grouped by, likewise; null where there is one field."
    )


class AggregateRow(TimedFigures, CellFields):
    """The figures of the requests that have this value and started in this piece of time."""

    @classmethod
    def of(cls, part: Figures) -> AggregateRow:
        return cls.model_validate(
            {
                "bucket": rfc_3339(part.cell.starts_at_us),
                "group": part.cell.value,
                "second_group": part.cell.second,
                **timed_figures(part.usage, part.verdicts, part.latencies),
            }
        )


class AggregateReply(Shape):
    data: list[AggregateRow] = Field(
        description="In the order of time; within a time in the order asked for."
    )
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


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
        is_csv = wants_csv(request)
        found = await self._ranking.find(asked.question, asked.order, asked.page)
        # Percentiles of a thousand rows take long, and other callers' streams go through this thread.
        rows = await asyncio.to_thread(_rows, found)
        if is_csv:
            refuse_unknown_keys(found.unknown_keys)
            return csv_page(request, "aggregates", AggregateRow, rows, _cursor(found))
        return reply(
            AggregateReply(data=rows, next_cursor=_cursor(found), unknown_keys=list(found.unknown_keys))
        )


def _rows(found: Ranked) -> list[AggregateRow]:
    return [AggregateRow.of(part) for part in found.figures]


def _cursor(found: Ranked) -> str | None:
    return None if found.next_offset is None else str(found.next_offset)
