"""`/api/v1/aggregates`: metrics of many requests, their query parameters and schemas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import (
    DEFAULT_LIMIT,
    FORMAT_PARAMETER,
    MAX_LIMIT,
    METRICS_PARAMETERS,
    parameters_to_filter,
    read_limit,
    read_offset,
    slice_parameters,
)
from gateway.api.native.http_responses import (
    CSV_TYPE,
    NextCursor,
    Schema,
    UnknownKeys,
    csv_response,
    json_response,
    refuse_unknown_keys,
    wants_csv,
)
from gateway.api.native.schemas import Time, format_time
from gateway.errors import BadInput
from gateway.models.columns import GROUP
from gateway.models.filters import Page, Scalar
from gateway.models.metrics import (
    DAY_US,
    END_OF_TIME_US,
    HOUR_US,
    FeedbackSums,
    Latencies,
    MetricsQuery,
    UsageSums,
    percentile_ms,
)
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD, REQUEST_COLUMNS
from gateway.query import ORDER_METRICS, GroupMetrics, MetricsOrder, MetricsPage, MetricsReader
from gateway.query.filters import METADATA_PREFIX, METRICS_FILTERS, read_time
from gateway.query.metrics import Estimate, mean_score, share_positive
from gateway.web.endpoint import Endpoint, Parameter, unique_params


class EstimateShape(Schema):
    """A figure with its 95 % confidence interval, whose bounds are null where one verdict alone tells nothing."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, estimate: Estimate | None) -> EstimateShape | None:
        if estimate is None:
            return None
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)


class FeedbackFigures(Schema):
    """Each entry counts for one request. Those without a score are counted and weigh nothing."""

    count: int
    total_weight: float
    mean_score: EstimateShape | None = Field(
        description="Sum of weight × score over `total_weight`, from -1 to 1; null where nothing weighs anything."
    )
    share_positive: EstimateShape | None = Field(
        description="Share of entries with a score that are positive; null where there are none."
    )
    average_weighted_grade: float | None = Field(
        description="Sum of weight × grade over the number of entries with a score, from -10 to 10."
    )

    @classmethod
    def of(cls, verdicts: FeedbackSums) -> FeedbackFigures:
        return cls(
            count=verdicts.entries,
            total_weight=verdicts.weight,
            mean_score=EstimateShape.of(mean_score(verdicts)),
            share_positive=EstimateShape.of(share_positive(verdicts)),
            average_weighted_grade=_ratio(verdicts.weighted_grade, verdicts.scored),
        )


class CostFigures(Schema):
    usd: float
    nanousd: int = Field(description="The same in billionths of a US dollar, exact.")
    priced_requests: int = Field(description="Requests whose cost is known; the others count as nothing.")


class TokenFigures(Schema):
    prompt: int
    completion: int
    cached: int = Field(description="Part of `prompt` that was read from a cache.")
    counted_requests: int = Field(description="Requests whose tokens are known; the others count as nothing.")


class MetricsFields(Schema):
    """What requests took, and what was said of them."""

    requests: int
    errors: int = Field(
        description="Those that were answered with a status from 400 on, or not at all though the caller waited."
    )
    error_rate: float | None = Field(description="`errors` / `requests`.")
    coverage: float | None = Field(description="Share of requests that at least one entry counts for.")
    cost: CostFigures
    tokens: TokenFigures
    feedback: FeedbackFigures


class LatencyFigures(Schema):
    """Milliseconds from a request's arrival to the end of its response. Percentiles are within 0.8 %."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class TimedMetricsFields(MetricsFields):
    latency_ms: LatencyFigures | None = Field(description="Null where there are no requests.")
    first_byte_ms: float | None = Field(
        description="Mean time to the first byte of those that got an answer; null where none did."
    )


def metrics_fields(usage: UsageSums, verdicts: FeedbackSums) -> dict[str, object]:
    """Return the fields of `Figures`."""
    return {
        "requests": usage.requests,
        "errors": usage.errors,
        "error_rate": _ratio(usage.errors, usage.requests),
        "coverage": _ratio(verdicts.judged_requests, usage.requests),
        "cost": CostFigures(
            usd=usage.cost_nanousd / NANOUSD_PER_USD, nanousd=usage.cost_nanousd, priced_requests=usage.priced
        ),
        "tokens": TokenFigures(
            prompt=usage.prompt_tokens,
            completion=usage.completion_tokens,
            cached=usage.cached_tokens,
            counted_requests=usage.tokens_counted,
        ),
        "feedback": FeedbackFigures.of(verdicts),
    }


def timed_metrics_fields(usage: UsageSums, verdicts: FeedbackSums, latencies: Latencies) -> dict[str, object]:
    """Return the fields of `TimedMetricsFields`."""
    return {
        **metrics_fields(usage, verdicts),
        "latency_ms": _latency(usage, latencies),
        "first_byte_ms": _ratio(usage.first_byte_us / 1000, usage.answered),
    }


def _latency(usage: UsageSums, latencies: Latencies) -> LatencyFigures | None:
    if not usage.requests or not latencies:
        return None
    shares = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
    percentiles = {name: percentile_ms(latencies, share) for name, share in shares.items()}
    return LatencyFigures.model_validate({"mean": usage.duration_us / 1000 / usage.requests, **percentiles})


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


MAX_ROWS = 1_000

# By what metrics can be split, besides metadata: the field of requests by the name that callers give it.
GROUP_FIELDS: Mapping[str, str] = MappingProxyType(
    {"model": "any_model", **{column.name: column.name for column in REQUEST_COLUMNS if column.uses & GROUP}}
)

BUCKETS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "minute": (60_000_000, 0),
        "hour": (HOUR_US, 0),
        "day": (DAY_US, 0),
        "week": (7 * DAY_US, -3 * DAY_US),
    }
)
"""Pieces of time: their length, and how long after the epoch they count from. That was a Thursday, and weeks begin
on Monday."""

MAX_GROUPS = 2

_TIME_FIELDS = ("from", "to")
"""Criteria that say of which time a question is."""

USER_ORDER_METRICS = ("requests", "cost", "last_seen")


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A question, and which part of its answer is wanted."""

    metrics_query: MetricsQuery
    order: MetricsOrder
    page: Page


@dataclass(frozen=True, slots=True)
class ParsedUsersRequest(ParsedRequest):
    """A question about users.

    Args:
        prefix: how their names begin.
    """

    prefix: str


def read_metrics_request(query: Iterable[tuple[str, str]], tenant: str | None) -> ParsedRequest:
    """Read a query string's decoded pairs.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = unique_params(_join_repeated(query, "group_by"))
    bucket = given.get("bucket")
    if bucket is not None and bucket not in BUCKETS:
        raise BadInput(f"must be one of {', '.join(BUCKETS)}.", field="bucket")
    length_us, offset_us = (None, 0) if bucket is None else BUCKETS[bucket]
    group_by, then_by = _read_group_fields(given.get("group_by"))
    metrics_query = MetricsQuery(
        *_time_range(given),
        where=parameters_to_filter(given, METRICS_FILTERS, AGGREGATE_PARAMETERS, _TIME_FIELDS),
        group_by=group_by,
        then_by=then_by,
        bucket_us=length_us,
        bucket_offset_us=offset_us,
        tenant=tenant,
    )
    page = Page(read_limit(given, MAX_ROWS, MAX_ROWS), read_offset(given) or 0)
    return ParsedRequest(metrics_query, _read_order(given.get("order", "-requests"), ORDER_METRICS), page)


def read_users_request(query: Iterable[tuple[str, str]], tenant: str | None) -> ParsedUsersRequest:
    """Read a query string's decoded pairs. Raises BadInput as `read_aggregate_question` does."""
    given = unique_params(query)
    where = parameters_to_filter(given, METRICS_FILTERS, USER_PARAMETERS, _TIME_FIELDS)
    return ParsedUsersRequest(
        MetricsQuery(*_time_range(given), where=where, tenant=tenant),
        _read_order(given.get("order", "-last_seen"), USER_ORDER_METRICS),
        Page(read_limit(given), read_offset(given) or 0),
        given.get("prefix", ""),
    )


def _time_range(given: Mapping[str, str]) -> tuple[int, int]:
    from_us = read_time("from", given["from"]) if "from" in given else 0
    to_us = read_time("to", given["to"]) if "to" in given else END_OF_TIME_US
    return from_us, to_us


def _join_repeated(query: Iterable[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    """The pairs, with what is given several times under this name put together as one list."""
    pairs = list(query)
    given = [text for key, text in pairs if key == name]
    others = [pair for pair in pairs if pair[0] != name]
    return [*others, (name, ",".join(given))] if given else others


def _read_group_fields(text: str | None) -> tuple[str | None, str | None]:
    """The fields that are grouped by: none, one or two."""
    if text is None:
        return None, None
    fields = [_read_group_field(name) for name in text.split(",")]
    if len(fields) > MAX_GROUPS or len(set(fields)) < len(fields):
        raise BadInput("takes one or two different fields.", field="group_by")
    return fields[0], fields[1] if len(fields) > 1 else None


def _read_group_field(name: str) -> str:
    if name.startswith(METADATA_PREFIX) and name != METADATA_PREFIX:
        return name
    if name not in GROUP_FIELDS:
        raise BadInput(
            f"{name!r} must be one of {', '.join(GROUP_FIELDS)} or {METADATA_PREFIX}KEY.",
            field="group_by",
            hint="A comma stands between two fields; keys with one cannot be grouped by.",
        )
    return GROUP_FIELDS[name]


def _read_order(text: str, measures: Sequence[str]) -> MetricsOrder:
    measure = text.removeprefix("-")
    if measure not in measures:
        raise BadInput(
            f"must be one of {', '.join(measures)}; with a - before it, the most comes first.", field="order"
        )
    return MetricsOrder(measure, descending=text != measure)


def _order_parameter(measures: Sequence[str], default: str) -> Parameter:
    return Parameter(
        "order",
        "By what rows are put in order; with a `-` before it, the most comes first. What has no such figure comes "
        "last.",
        {
            "type": "string",
            "enum": [sign + name for name in measures for sign in ("-", "")],
            "default": default,
        },
    )


_GROUP_PATTERN = rf"({'|'.join(GROUP_FIELDS)}|metadata\.[^,]+)"

AGGREGATE_PARAMETERS = (
    Parameter(
        "group_by",
        "Split figures by the values of one of these, or of two with a comma between them: "
        f"{', '.join(GROUP_FIELDS)}, {METADATA_PREFIX}KEY. `model` is the one that answered, or was asked"
        f" for where none did.",
        {"type": "string", "pattern": f"^{_GROUP_PATTERN}(,{_GROUP_PATTERN})?$"},
    ),
    Parameter(
        "bucket",
        "Split figures by time. Pieces are in UTC; weeks begin on Monday.",
        {"type": "string", "enum": [*BUCKETS]},
    ),
    *METRICS_PARAMETERS,
    _order_parameter(ORDER_METRICS, "-requests"),
    *slice_parameters("rows", MAX_ROWS, MAX_ROWS),
    FORMAT_PARAMETER,
)
USER_PARAMETERS = (
    Parameter("prefix", "Users whose names begin so; case counts."),
    *METRICS_PARAMETERS,
    _order_parameter(USER_ORDER_METRICS, "-last_seen"),
    *slice_parameters("users", DEFAULT_LIMIT, MAX_LIMIT),
)


class GroupKeyFields(Schema):
    bucket: Time | None = Field(description="When its piece of time begins; null without `bucket`.")
    group: Scalar = Field(
        description="The value that is grouped by; null for requests that have none, and without `group_by`."
    )
    second_group: Scalar = Field(
        description="The value of the second field that is grouped by, likewise; null where there is one field."
    )


class AggregateRow(TimedMetricsFields, GroupKeyFields):
    """The figures of the requests that have this value and started in this piece of time."""

    @classmethod
    def of(cls, part: GroupMetrics) -> AggregateRow:
        return cls.model_validate(
            {
                "bucket": format_time(part.cell.starts_at_us),
                "group": part.cell.value,
                "second_group": part.cell.second,
                **timed_metrics_fields(part.usage, part.verdicts, part.latencies),
            }
        )


class AggregateReply(Schema):
    data: list[AggregateRow] = Field(
        description="In the order of time; within a time in the order asked for."
    )
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


class AggregateEndpoints:
    """Handler of the figures' path."""

    def __init__(self, ranking: MetricsReader) -> None:
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
                reply_types=(CSV_TYPE,),
                failures=(400, 413, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        parsed = read_metrics_request(request.query.items(), principal.tenant)
        is_csv = wants_csv(request)
        found = await self._ranking.find(parsed.metrics_query, parsed.order, parsed.page)
        # Percentiles of a thousand rows take long, and other callers' streams go through this thread.
        rows = await asyncio.to_thread(_metrics_rows, found)
        if is_csv:
            refuse_unknown_keys(found.unknown_keys)
            return csv_response(request, "aggregates", AggregateRow, rows, _next_cursor(found))
        return json_response(
            AggregateReply(data=rows, next_cursor=_next_cursor(found), unknown_keys=list(found.unknown_keys))
        )


def _metrics_rows(found: MetricsPage) -> list[AggregateRow]:
    return [AggregateRow.of(part) for part in found.figures]


def _next_cursor(found: MetricsPage) -> str | None:
    return None if found.next_offset is None else str(found.next_offset)
