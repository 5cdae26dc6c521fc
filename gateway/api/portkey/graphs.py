"""Schemas, rounding and data points shared by the analytics graphs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from gateway.api.portkey.schemas import NANOUSD_A_CENT, iso_time
from gateway.models.metrics import FeedbackSums, MetricsQuery, UsageSums
from gateway.query.metrics import MetricsReader, Timeline

Exact = Annotated[float, Field(description="The same with its fraction.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class TimePoint(BaseModel):
    """A data point of a timeline."""

    timestamp: Time = Field(description="When its time bucket begins.")


class Total(BaseModel):
    total: int = Field(description="The number of them.")


class TotalAt(Total, TimePoint):
    pass


class Mean(BaseModel):
    avg: int = Field(description="The mean; 0 where there is none.")
    avg_exact: Exact


class MeanAt(Mean, TimePoint):
    pass


class Rate(BaseModel):
    rate: int = Field(description="The share in per cent; 0 where there is none.")
    rate_exact: Exact


class RateAt(Rate, TimePoint):
    pass


class NoSummary(BaseModel):
    """Empty."""


SummaryModel = TypeVar("SummaryModel", bound=BaseModel)
PointModel = TypeVar("PointModel", bound=BaseModel)


class Graph(BaseModel, Generic[SummaryModel, PointModel]):
    """The data of a chart."""

    summary: SummaryModel
    data_points: list[PointModel]
    object: Literal["analytics-graph"] = "analytics-graph"


class Group(BaseModel):
    """Requests that share a value."""

    object: Literal["analytics-group"] = "analytics-group"


GroupModel = TypeVar("GroupModel", bound=Group)


class Groups(BaseModel, Generic[GroupModel]):
    """One page of groups, those of most requests first."""

    object: Literal["list"] = "list"
    total: int = Field(description="The number of groups on all pages.")
    data: list[GroupModel]


def usage_cents(usage: UsageSums) -> float:
    """Return the cost in US cents."""
    return usage.cost_nanousd / NANOUSD_A_CENT


def exact_usage_cents(usage: UsageSums) -> str:
    """Return the exact cost in US cents, as a decimal number such as `0.0125`."""
    return f"{(Decimal(usage.cost_nanousd) / NANOUSD_A_CENT).normalize():f}"


def usage_tokens(usage: UsageSums) -> int:
    """Return prompt and completion tokens."""
    return usage.prompt_tokens + usage.completion_tokens


def mean_latency_ms(usage: UsageSums) -> float:
    """Return the mean duration of requests in milliseconds."""
    return mean(usage.duration_us / 1000, usage.requests)


def mean_weighted_feedback(feedback: FeedbackSums) -> float:
    """Return the mean of value × weight of the entries with a value."""
    return mean(feedback.weighted_grade, feedback.scored)


def mean(total: float, number: int) -> float:
    """Return `total` / `number`; 0 where `number` is 0."""
    return total / number if number else 0.0


def per_cent(part: float, whole: float) -> float:
    """Return the share of a part in per cent; 0 where the whole is 0."""
    return 100 * part / whole if whole else 0.0


def round_half_up(number: float) -> int:
    """Return the nearest integer; a half is rounded away from zero."""
    return int(Decimal(number).to_integral_value(ROUND_HALF_UP))


def with_exact(**values: float) -> dict[str, Any]:
    """Return each value rounded under its name, and unchanged under its name with `_exact`."""
    exact = {f"{name}_exact": value for name, value in values.items()}
    return {name: round_half_up(value) for name, value in values.items()} | exact


T = TypeVar("T")

# Returns the content of a reply, which its schema then validates.
GraphBuilder = Callable[[MetricsReader, MetricsQuery], Awaitable[dict[str, Any]]]
Fields = Callable[[T], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One path below `/v1/analytics`."""

    path: str
    summary: str
    description: str
    reply: type[BaseModel]
    build: GraphBuilder


def time_points(timeline: Timeline[T], fields: Fields[T]) -> list[dict[str, Any]]:
    """Return a data point for each time bucket."""
    return [{"timestamp": iso_time(each.starts_at_us), **fields(each.figures)} for each in timeline.buckets]


def over_time(
    read: Callable[[MetricsReader, MetricsQuery], Awaitable[Timeline[T]]],
    fields: Fields[T],
    summary: Fields[T] | None = None,
) -> GraphBuilder:
    """Return the builder of a graph over time.

    Args:
        fields: fields of each data point, and of the summary unless that has its own.
    """

    async def build(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
        timeline = await read(metrics, query)
        return {
            "summary": (summary or fields)(timeline.overall),
            "data_points": time_points(timeline, fields),
        }

    return build
