"""`/api/v1/report`: what changed against the period before, the most disliked answers, money; as JSON or a file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from gateway.alerts.reports import to_html, to_markdown
from gateway.api.native import http_responses as responses
from gateway.api.native.metrics import (
    GROUP_PATTERN,
    EstimateShape,
    TimedMetricsFields,
    TimeRangeParams,
    parse_group_field,
    timed_metrics_fields,
)
from gateway.api.native.schemas import Time, format_time
from gateway.models.clock import now_us
from gateway.models.filters import Scalar
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD
from gateway.query import report as query
from gateway.query.metrics import GroupMetrics
from gateway.query.overview import DEFAULT_LENGTH_US
from gateway.web.endpoint import NO_STORE, Endpoint, Example, Schema
from gateway.web.query_params import parsed_by

HTML_TYPE, MARKDOWN_TYPE = "text/html", "text/markdown"
# The file is of strangers' texts; shown by a browser it may do nothing.
_FILE_HEADERS = {
    **NO_STORE,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


class ReportParams(TimeRangeParams):
    group: Annotated[str, parsed_by(parse_group_field, type="string", pattern=f"^{GROUP_PATTERN}$")] = Field(
        query.DEFAULT_GROUP, description="Field that tells groups of users apart, such as `metadata.team`."
    )
    format: Literal["json", "markdown", "html"] = Field(
        "json", description="`html` is one file with charts that loads nothing."
    )


class ReportTotal(TimedMetricsFields):
    """All requests of a period."""

    @classmethod
    def of(cls, total: GroupMetrics) -> ReportTotal:
        return cls.model_validate(timed_metrics_fields(total.usage, total.feedback_sums, total.latencies))


class ChangeShape(Schema):
    """The requests of one value of a field, against the period before."""

    value: Scalar
    requests: int
    requests_before: int
    cost_usd: float
    cost_usd_before: float
    people: int
    people_before: int
    mean_score: EstimateShape | None
    mean_score_before: EstimateShape | None
    score_change: EstimateShape | None = Field(description="Null with fewer than ten people in either.")
    is_real: bool = Field(description="Whether the change of the score is more than chance.")
    error_rate: EstimateShape | None
    error_rate_before: EstimateShape | None
    error_rate_change: EstimateShape | None

    @classmethod
    def of(cls, change: query.Change) -> ChangeShape:
        now, before, score = change.now, change.before, change.score
        return cls(
            value=change.value,
            requests=now.usage.requests,
            requests_before=before.usage.requests,
            cost_usd=now.usage.cost_nanousd / NANOUSD_PER_USD,
            cost_usd_before=before.usage.cost_nanousd / NANOUSD_PER_USD,
            people=len(now.people),
            people_before=len(before.people),
            mean_score=EstimateShape.of(now.mean_score),
            mean_score_before=EstimateShape.of(before.mean_score),
            score_change=None
            if score is None
            else EstimateShape(value=score.value, low=score.low, high=score.high),
            is_real=change.is_real,
            error_rate=EstimateShape.of(now.error_rate),
            error_rate_before=EstimateShape.of(before.error_rate),
            error_rate_change=EstimateShape.of(change.error_rate),
        )


class DislikedShape(Schema):
    request_id: str
    trace_id: str
    started_at: Time | None
    score: float | None
    entries: int
    question: str
    answer: str
    comment: str | None


class ReportReply(Schema):
    starts_at: Time | None
    ends_at: Time | None
    total: ReportTotal
    before: ReportTotal = Field(description="Of the period of the same length that ends at `starts_at`.")
    changes: dict[str, list[ChangeShape]] = Field(
        description=f"By prompt, model and group of users, at most {query.TABLE_ROWS} values each."
    )
    disliked: list[DislikedShape] = Field(description="Lowest mean score first, of the newest disliked ones.")
    attention: list[str]
    method: str

    @classmethod
    def of(cls, found: query.Report) -> ReportReply:
        overview = found.overview
        return cls.model_validate(
            {
                "starts_at": format_time(overview.from_us),
                "ends_at": format_time(overview.to_us),
                "total": ReportTotal.of(overview.total),
                "before": ReportTotal.of(overview.before),
                "changes": {
                    "model" if name == "any_model" else name: list(map(ChangeShape.of, changes))
                    for name, changes in found.changes.items()
                },
                "disliked": list(map(_disliked, found.disliked)),
                "attention": [item.message for item in overview.attention if item.is_urgent],
                "method": query.METHOD,
            }
        )


def _disliked(answer: query.DislikedAnswer) -> DislikedShape:
    return DislikedShape(
        request_id=answer.record.request_id,
        trace_id=answer.record.trace_id,
        started_at=format_time(answer.record.started_at_us),
        score=answer.summary.score.weighted_mean,
        entries=answer.summary.score.count,
        question=answer.texts.question,
        answer=answer.texts.answer,
        comment=answer.comment,
    )


class ReportEndpoints:
    def __init__(self, reports: query.ReportReader) -> None:
        self._reports = reports

    @Endpoint(
        "GET",
        "/api/v1/report",
        Role.READ,
        "Report of a time",
        reply=ReportReply,
        reply_types=(HTML_TYPE, MARKDOWN_TYPE),
        failures=(400, 413, 503, 504),
        example=Example(query={"from": "7d"}),
    )
    async def _show(self, request: web.Request, principal: Principal, params: ReportParams) -> web.Response:
        """Of the requests that match all filters, without `from` those of the last seven days: what changed against
        the period before by prompt, model and group of users, with intervals; the most disliked answers; money."""
        to_us = min(now_us(), params.to_us or now_us())
        from_us = params.from_us if params.from_us is not None else max(to_us - DEFAULT_LENGTH_US, 0)
        asked = replace(params.metrics_query(principal.tenant), from_us=from_us, to_us=to_us)
        found = await self._reports.read(asked, params.group)
        if params.format == "json":
            return responses.json_response(ReportReply.of(found))
        render, kind = (to_html, HTML_TYPE) if params.format == "html" else (to_markdown, MARKDOWN_TYPE)
        text = await asyncio.to_thread(render, found)
        return web.Response(text=text, content_type=kind, charset="utf-8", headers=_FILE_HEADERS)
