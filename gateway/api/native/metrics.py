"""`/api/v1/aggregates`: metrics of many requests, their query parameters and schemas."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.filters import DEFAULT_LIMIT, TIME_SCHEMA, FilterParams, Format, Limit, NumberCursor
from gateway.api.native.schemas import Time, format_time
from gateway.errors import BadInput
from gateway.models.clock import format_rfc3339, parse_time_us
from gateway.models.filters import Page, Scalar
from gateway.models.metrics import (
    DAY_US,
    END_OF_TIME_US,
    HOUR_US,
    Coverage,
    FeedbackSums,
    Latencies,
    MetricsQuery,
    UsageSums,
    percentile_ms,
)
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD
from gateway.query import metrics as query
from gateway.query.filters import METADATA_PREFIX, METRICS_FILTERS
from gateway.query.metrics import GROUP_FIELDS
from gateway.query.statistics import Estimate, mean_score, share_positive
from gateway.web.endpoint import Endpoint, Example, Schema
from gateway.web.query_params import DIGITS, one_of, parsed_by


class EstimateShape(Schema):
    """An estimate with its 95 % confidence interval; the bounds are null where there is only one entry."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, estimate: Estimate | None) -> EstimateShape | None:
        if estimate is None:
            return None
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)


class FeedbackFigures(Schema):
    """Each entry counts for one request. Entries without a score are counted, but have no weight."""

    count: int
    total_weight: float
    mean_score: EstimateShape | None = Field(
        description="Sum of weight × score over `total_weight`, from -1 to 1; null where the total weight is 0."
    )
    share_positive: EstimateShape | None = Field(
        description="Share of entries with a score that are positive; null where there are none."
    )
    average_weighted_grade: float | None = Field(
        description="Sum of weight × grade over the number of entries with a score, from -10 to 10."
    )

    @classmethod
    def of(cls, feedback: FeedbackSums) -> FeedbackFigures:
        return cls(
            count=feedback.entries,
            total_weight=feedback.weight,
            mean_score=EstimateShape.of(mean_score(feedback)),
            share_positive=EstimateShape.of(share_positive(feedback)),
            average_weighted_grade=ratio(feedback.weighted_grade, feedback.scored),
        )


class CostFigures(Schema):
    usd: float
    nanousd: int = Field(description="The same in billionths of a US dollar, exact.")
    priced_requests: int = Field(description="Requests whose cost is known; the others count as 0.")

    @classmethod
    def of(cls, usage: UsageSums) -> CostFigures:
        usd = usage.cost_nanousd / NANOUSD_PER_USD
        return cls(usd=usd, nanousd=usage.cost_nanousd, priced_requests=usage.priced)


class TokenFigures(Schema):
    prompt: int
    completion: int
    cached: int = Field(description="Part of `prompt` that was read from a cache.")
    counted_requests: int = Field(description="Requests whose tokens are known; the others count as 0.")

    @classmethod
    def of(cls, usage: UsageSums) -> TokenFigures:
        return cls(
            prompt=usage.prompt_tokens,
            completion=usage.completion_tokens,
            cached=usage.cached_tokens,
            counted_requests=usage.tokens_counted,
        )


class MetricsFields(Schema):
    """Usage of requests and the feedback on them."""

    requests: int
    errors: int = Field(
        description="Requests with a status from 400 on, or without a response though the caller waited."
    )
    error_rate: float | None = Field(description="`errors` / `requests`.")
    coverage: float | None = Field(
        description="Share of requests with at least one entry that counts for them."
    )
    cost: CostFigures
    tokens: TokenFigures
    feedback: FeedbackFigures


class LatencyFigures(Schema):
    """Milliseconds from a request's arrival to the end of its response, or to its first byte, ± 0.8 %."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class TimedMetricsFields(MetricsFields):
    latency_ms: LatencyFigures | None = Field(description="Null where there are no requests.")
    first_byte_ms: float | None = Field(
        description="Mean time to the first byte of requests with a response; null where none has one."
    )


def metrics_fields(usage: UsageSums, feedback: FeedbackSums) -> dict[str, object]:
    """Return the fields of `MetricsFields`."""
    return {
        "requests": usage.requests,
        "errors": usage.errors,
        "error_rate": ratio(usage.errors, usage.requests),
        "coverage": ratio(feedback.judged_requests, usage.requests),
        "cost": CostFigures.of(usage),
        "tokens": TokenFigures.of(usage),
        "feedback": FeedbackFigures.of(feedback),
    }


def timed_metrics_fields(usage: UsageSums, feedback: FeedbackSums, latencies: Latencies) -> dict[str, object]:
    """Return the fields of `TimedMetricsFields`."""
    return {
        **metrics_fields(usage, feedback),
        "latency_ms": latency_figures(usage, latencies),
        "first_byte_ms": ratio(usage.first_byte_us / 1000, usage.answered),
    }


def latency_figures(usage: UsageSums, latencies: Latencies) -> LatencyFigures | None:
    return _latency_figures(usage.duration_us, usage.requests, latencies)


def first_byte_figures(usage: UsageSums, latencies: Latencies) -> LatencyFigures | None:
    return _latency_figures(usage.first_byte_us, usage.answered, latencies)


def _latency_figures(total_us: int, requests: int, latencies: Latencies) -> LatencyFigures | None:
    if not requests or not latencies:
        return None
    shares = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
    percentiles = {name: percentile_ms(latencies, share) for name, share in shares.items()}
    return LatencyFigures.model_validate({"mean": total_us / 1000 / requests, **percentiles})


def ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


MAX_ROWS = 1_000
MAX_GROUPS = 2

# Length and offset from the epoch in microseconds. The epoch was a Thursday, and weeks begin on Monday.
BUCKETS: Mapping[str, tuple[int, int]] = {
    "minute": (60_000_000, 0),
    "hour": (HOUR_US, 0),
    "day": (DAY_US, 0),
    "week": (7 * DAY_US, -3 * DAY_US),
}

USER_ORDER_METRICS = ("requests", "cost", "last_seen")

GROUP_PATTERN = rf"({'|'.join(GROUP_FIELDS)}|metadata\.[^,]+)"


def _parse_group_fields(text: object) -> tuple[str, ...]:
    fields = tuple(parse_group_field(name) for name in str(text).split(","))
    if len(fields) > MAX_GROUPS or len(set(fields)) < len(fields):
        raise ValueError("must be one or two different fields")
    return fields


def parse_group_field(name: str) -> str:
    if name.startswith(METADATA_PREFIX) and name != METADATA_PREFIX:
        return name
    if name not in GROUP_FIELDS:
        raise ValueError(
            f"{name!r} must be one of {', '.join(GROUP_FIELDS)} or {METADATA_PREFIX}KEY. "
            "A comma stands between two fields; keys with a comma cannot be grouped by"
        )
    return GROUP_FIELDS[name]


MIN_SECONDS, MAX_SECONDS = 0.1, 60.0


def _parse_seconds(text: object) -> float:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", str(text)):
        raise ValueError("must be a number of seconds such as 0.8")
    if not MIN_SECONDS <= (seconds := float(str(text))) <= MAX_SECONDS:
        raise ValueError(f"must be from {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds")
    return seconds


Within = Annotated[
    float | None, parsed_by(_parse_seconds, type="number", minimum=MIN_SECONDS, maximum=MAX_SECONDS)
]
WITHIN = Field(
    None,
    description="Answer within about so many seconds; where that is too short for all requests, only the "
    "latest count, and `partial` says from when on. Without it the answer is whole, however long that takes.",
)


def _order_names(metrics: Iterable[str]) -> list[str]:
    return [sign + name for name in metrics for sign in ("-", "")]


_Order = Field(
    description="Metric that rows are sorted by; with a `-`, the highest first. Rows without that metric come last."
)
_FromTime = Annotated[int | None, parsed_by(parse_time_us, **TIME_SCHEMA)]
_ToTime = Annotated[int | None, parsed_by(partial(parse_time_us, is_end=True), **TIME_SCHEMA)]


class TimeRangeParams(FilterParams):
    """Filters and time range of the requests that metrics are about."""

    filters = METRICS_FILTERS

    # A time range among the filters would keep the precomputed rollups from being used.
    from_us: _FromTime = Field(None, alias="from", description=METRICS_FILTERS.criteria["from"].description)
    to_us: _ToTime = Field(None, alias="to", description=METRICS_FILTERS.criteria["to"].description)

    def metrics_query(self, tenant: str | None) -> MetricsQuery:
        """Return the query without groups and buckets. Raises BadInput for a bad filter value."""
        to_us = END_OF_TIME_US if self.to_us is None else self.to_us
        return MetricsQuery(self.from_us or 0, to_us, where=self.where(), tenant=tenant)

    def row_filters(self, **conditions: str) -> dict[str, str] | None:
        """Return the parameters that list the requests which meet further conditions; None if there are none."""
        bounds = {"from": format_time(self.from_us), "to": format_time(self.to_us)}
        times = {name: bound for name, bound in bounds.items() if bound is not None}
        named = {"model" if name == "any_model" else name: text for name, text in conditions.items()}
        if not all(name in self.filters.criteria or self.filters.prefix_of(name) for name in named):
            return None
        return {**(self.model_extra or {}), **times, **named}


class MetricsParams(TimeRangeParams):
    """These, and the page of rows."""

    order: str
    limit: int
    cursor: NumberCursor = None

    def metrics_order(self) -> query.MetricsOrder:
        return query.MetricsOrder(self.order.removeprefix("-"), descending=self.order.startswith("-"))

    def page(self) -> Page:
        return Page(self.limit, self.cursor or 0)


class AggregateParams(MetricsParams):
    group_by: Annotated[
        tuple[str, ...] | None,
        parsed_by(_parse_group_fields, type="string", pattern=f"^{GROUP_PATTERN}(,{GROUP_PATTERN})?$"),
    ] = Field(
        None,
        description=f"Group by one or two fields, separated by a comma: {', '.join(GROUP_FIELDS)}, "
        f"{METADATA_PREFIX}KEY. `model` is the model that answered, or was requested where none answered.",
    )
    bucket: Annotated[str, one_of(BUCKETS)] | None = Field(
        None, description="Group by time. Buckets are in UTC; weeks begin on Monday."
    )
    order: Annotated[str, one_of(_order_names(query.ORDER_METRICS)), _Order] = "-requests"
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="Most rows to return."), DIGITS] = MAX_ROWS
    within: Within = WITHIN
    format: Format = None

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> Self:
        # `group_by` may be given several times as well as with a comma.
        pairs = list(query)
        groups = [text for name, text in pairs if name == "group_by"]
        others = [pair for pair in pairs if pair[0] != "group_by"]
        return super().parse([*others, ("group_by", ",".join(groups))] if groups else others)

    def metrics_query(self, tenant: str | None) -> MetricsQuery:
        length_us, offset_us = BUCKETS[self.bucket] if self.bucket else (None, 0)
        group_by, then_by = (*(self.group_by or ()), None, None)[:MAX_GROUPS]
        whole = replace(super().metrics_query(tenant), group_by=group_by, then_by=then_by)
        return replace(whole, bucket_us=length_us, bucket_offset_us=offset_us)


class UserListParams(MetricsParams):
    prefix: str | None = Field(None, description="Users whose names start with this; case-sensitive.")
    order: Annotated[str, one_of(_order_names(USER_ORDER_METRICS)), _Order] = "-last_seen"
    limit: Limit = DEFAULT_LIMIT
    within: Within = WITHIN


class GroupKeyFields(Schema):
    bucket: Time | None = Field(description="When its time bucket begins; null without `bucket`.")
    group: Scalar = Field(description="The value of the first field of `group_by`; null without one.")
    second_group: Scalar = Field(description="The value of the second field of `group_by`, likewise.")


class AggregateRow(TimedMetricsFields, GroupKeyFields):
    """Metrics of the requests with these values that started in this time bucket."""

    @classmethod
    def of(cls, part: query.GroupMetrics) -> AggregateRow:
        return cls.model_validate(
            {
                "bucket": format_time(part.cell.starts_at_us),
                "group": part.cell.value,
                "second_group": part.cell.second,
                **timed_metrics_fields(part.usage, part.feedback_sums, part.latencies),
            }
        )


class PartialFields(Schema):
    """Which requests an answer is about that could not be about all of them `within` its time."""

    covers_from: Time = Field(description="Only requests that started at this time or later count.")
    share: float = Field(
        description="Share of the time asked for that this is, as far as there are requests, from 0 to 1."
    )
    is_being_summed_up: bool = Field(
        description="`true`: sums by these fields are being made, and later answers are about more; `false`: they "
        "are not, for too many values or fields: ask for less time, for other fields or without `within`."
    )

    @classmethod
    def of(cls, coverage: Coverage | None) -> PartialFields | None:
        if coverage is None or coverage.covers_from_us is None:
            return None
        return cls(
            covers_from=format_rfc3339(coverage.covers_from_us),
            share=coverage.share,
            is_being_summed_up=coverage.is_rolled_up,
        )


class AggregateReply(Schema):
    data: list[AggregateRow] = Field(description="By time bucket; within one by `order`.")
    next_cursor: responses.NextCursor
    unknown_keys: responses.UnknownKeys
    partial: PartialFields | None = Field(description="Null where all requests count.")


class AggregateEndpoints:
    def __init__(self, metrics: query.MetricsReader) -> None:
        self._metrics = metrics

    @Endpoint(
        "GET",
        "/api/v1/aggregates",
        Role.READ,
        "Metrics of many requests",
        reply=AggregateReply,
        reply_types=(responses.CSV_TYPE,),
        failures=(400, 413, 503, 504),
        example=Example(query={"from": "7d", "group_by": "model", "order": "-cost"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: AggregateParams
    ) -> web.Response:
        """Of the requests that match all filters: how many, their cost, tokens and latency, and the feedback
        on them. Without `group_by` and `bucket` there is one row; groups without requests have none."""
        asked, order = params.metrics_query(principal.tenant), params.metrics_order()
        is_csv = responses.wants_csv(request, params.format)
        if is_csv and params.within is not None:
            raise BadInput(
                "cannot be given for CSV, which has no place to say what is missing.", field="within"
            )
        found = await self._metrics.find(asked, order, params.page(), params.within)
        # Percentiles of a thousand rows take long, and other callers' streams run on this thread.
        rows = await asyncio.to_thread(lambda: [AggregateRow.of(part) for part in found.figures])
        cursor = None if found.next_offset is None else str(found.next_offset)
        if is_csv:
            responses.refuse_unknown_keys(found.unknown_keys)
            return responses.csv_response(request, "aggregates", AggregateRow, rows, cursor)
        reply = AggregateReply(
            data=rows,
            next_cursor=cursor,
            unknown_keys=list(found.unknown_keys),
            partial=PartialFields.of(found.partial),
        )
        return responses.json_response(reply)
