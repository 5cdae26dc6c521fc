"""`/api/v1/overview`: numbers of a time beside those of the period before, series, tables, what needs attention."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.metrics import (
    WITHIN,
    PartialFields,
    TimedMetricsFields,
    TimeRangeParams,
    Within,
    timed_metrics_fields,
)
from gateway.api.native.schemas import Time, format_time
from gateway.models.clock import now_us
from gateway.models.filters import Scalar
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD
from gateway.query import overview as query
from gateway.query.metrics import GroupMetrics
from gateway.web.endpoint import Endpoint, Example, Schema


class OverviewParams(TimeRangeParams):
    within: Within = WITHIN

    def at(self, from_us: int, to_us: int) -> OverviewParams:
        return self.model_copy(update={"from_us": from_us, "to_us": to_us})


class OverviewTotal(TimedMetricsFields):
    """All requests of a period."""

    @classmethod
    def of(cls, total: GroupMetrics) -> OverviewTotal:
        return cls.model_validate(timed_metrics_fields(total.usage, total.feedback_sums, total.latencies))


class PointFields(Schema):
    starts_at: Time


class OverviewPoint(TimedMetricsFields, PointFields):
    """The requests that started in one interval; intervals without requests are there too."""


class RowFields(Schema):
    group: Scalar
    filters: dict[str, str] | None = Field(
        description="Parameters with which `/api/v1/requests` lists its requests; null without a value."
    )


class OverviewRow(TimedMetricsFields, RowFields):
    """The requests of one model or prompt."""


class AttentionShape(Schema):
    """Something that costs money or feedback unseen."""

    kind: query.Attention
    message: str
    count: int = Field(description="Of requests or entries.")
    share: float | None = Field(
        description="Of the prompt tokens that came from a cache, or of the streams that lack usage."
    )
    tokens: int | None
    cost_usd: float | None
    since: Time | None = Field(
        description="The time it is about begins there; of feedback, the oldest entry."
    )
    ids: list[str] = Field(description="Some ids that feedback waits for, the latest first.")
    path: str = Field(description="Lists its rows with `filters` as parameters.")
    filters: dict[str, str]


class OverviewReply(Schema):
    starts_at: Time
    ends_at: Time
    interval_seconds: int = Field(description="Between the points of `series`.")
    total: OverviewTotal
    before: OverviewTotal = Field(description="Of the period of the same length that ends at `starts_at`.")
    series: list[OverviewPoint] = Field(description="In order, without gaps.")
    by_model: list[OverviewRow] = Field(description=f"Most requests first, at most {query.TABLE_ROWS}.")
    by_prompt: list[OverviewRow] = Field(description="Likewise.")
    attention: list[AttentionShape]
    unknown_keys: responses.UnknownKeys
    partial: PartialFields | None = Field(description="Null where all requests of the time count.")


class OverviewEndpoints:
    def __init__(self, overview: query.OverviewReader) -> None:
        self._overview = overview

    @Endpoint(
        "GET",
        "/api/v1/overview",
        Role.READ,
        "Overview of requests and feedback",
        reply=OverviewReply,
        failures=(400, 413, 503, 504),
        example=Example(query={"from": "24h"}),
    )
    async def _show(self, request: web.Request, principal: Principal, params: OverviewParams) -> web.Response:
        """Of the requests that match all filters, without `from` those of the last seven days: numbers, the same of
        the period before, series, tables by model and prompt, and what needs attention."""
        to_us = min(now_us(), params.to_us or now_us())
        from_us = params.from_us if params.from_us is not None else max(to_us - query.DEFAULT_LENGTH_US, 0)
        asked = replace(params.metrics_query(principal.tenant), from_us=from_us, to_us=to_us)
        found = await self._overview.read(asked, params.within)
        # Percentiles of many points take long, and other callers' streams run on this thread.
        return responses.json_response(
            await asyncio.to_thread(_reply, found, params.at(found.from_us, found.to_us))
        )


def _reply(found: query.Overview, params: OverviewParams) -> OverviewReply:
    return OverviewReply.model_validate(
        {
            "starts_at": format_time(found.from_us),
            "ends_at": format_time(found.to_us),
            "interval_seconds": found.interval_us // 1_000_000,
            "total": OverviewTotal.of(found.total),
            "before": OverviewTotal.of(found.before),
            "series": [
                {"starts_at": format_time(point.starts_at_us), **_fields(point.figures)}
                for point in found.points
            ],
            "by_model": _rows(found.by_model, "model", params),
            "by_prompt": _rows(found.by_prompt, "prompt", params),
            "attention": [_attention(item, params) for item in found.attention],
            "unknown_keys": list(found.unknown_keys),
            "partial": PartialFields.of(found.partial),
        }
    )


def _fields(part: GroupMetrics) -> dict[str, object]:
    return timed_metrics_fields(part.usage, part.feedback_sums, part.latencies)


def _rows(parts: Iterable[GroupMetrics], field: str, params: OverviewParams) -> list[dict[str, object]]:
    return [
        {
            "group": (value := part.cell.value),
            "filters": None if value is None else params.row_filters(**{field: str(value)}),
            **_fields(part),
        }
        for part in parts
    ]


def _attention(item: query.AttentionItem, params: OverviewParams) -> AttentionShape:
    # Feedback that waits, and a key's scale, are of no request and no time.
    path, filters = "/api/v1/feedback", dict(item.conditions)
    if not item.is_of_feedback:
        since_us = item.since_us or params.from_us or 0
        path = "/api/v1/requests"
        filters = params.at(since_us, params.to_us or now_us()).row_filters(**item.conditions) or {}
    return AttentionShape(
        kind=item.kind,
        message=item.message,
        count=item.count,
        share=item.share,
        tokens=item.tokens,
        cost_usd=None if item.cost_nanousd is None else item.cost_nanousd / NANOUSD_PER_USD,
        since=format_time(item.since_us),
        ids=list(item.ids),
        path=path,
        filters=filters,
    )
