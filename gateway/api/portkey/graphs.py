"""Schemas, rounding and data points shared by the analytics graphs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from gateway.api.portkey.schemas import NANOUSD_A_CENT, iso_time
from gateway.models.metrics import FeedbackSums, MetricsQuery, UsageSums
from gateway.query.metrics import Timeline
from gateway.store.base import Queries

Exact = Annotated[float, Field(description="The same with its fraction.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class TimePoint(BaseModel):
    """A data point in the course of time."""

    timestamp: Time = Field(description="When its piece of time begins.")


class Total(BaseModel):
    total: int = Field(description="How many there are.")


class TotalAt(Total, TimePoint):
    pass


class Mean(BaseModel):
    avg: int = Field(description="The mean; 0 where there is nothing.")
    avg_exact: Exact


class MeanAt(Mean, TimePoint):
    pass


class Rate(BaseModel):
    rate: int = Field(description="The share in per cent; 0 where there is nothing.")
    rate_exact: Exact


class RateAt(Rate, TimePoint):
    pass


class NoSummary(BaseModel):
    """There is none."""


SummaryModel = TypeVar("SummaryModel", bound=BaseModel)
PointModel = TypeVar("PointModel", bound=BaseModel)


class Graph(BaseModel, Generic[SummaryModel, PointModel]):
    """What a chart is drawn from."""

    summary: SummaryModel
    data_points: list[PointModel]
    object: Literal["analytics-graph"] = "analytics-graph"


TotalGraph = Graph[Total, TotalAt]


class Group(BaseModel):
    """Requests that have something in common."""

    object: Literal["analytics-group"] = "analytics-group"


GroupModel = TypeVar("GroupModel", bound=Group)


class Groups(BaseModel, Generic[GroupModel]):
    """One page of groups, those of most requests first."""

    object: Literal["list"] = "list"
    total: int = Field(description="How many groups there are on all pages.")
    data: list[GroupModel]


def usage_cents(usage: UsageSums) -> float:
    """Return what requests cost."""
    return usage.cost_nanousd / NANOUSD_A_CENT


def exact_usage_cents(usage: UsageSums) -> str:
    """Return what requests cost, as a decimal number such as `0.0125`."""
    return f"{(Decimal(usage.cost_nanousd) / NANOUSD_A_CENT).normalize():f}"


def usage_tokens(usage: UsageSums) -> int:
    """Return the tokens of prompts and completions."""
    return usage.prompt_tokens + usage.completion_tokens


def mean_latency_ms(usage: UsageSums) -> float:
    """Return the mean time that requests took."""
    return mean(usage.duration_us / 1000, usage.requests)


def mean_weighted_feedback(verdicts: FeedbackSums) -> float:
    """Return the mean of value × weight of the entries that have a value."""
    return mean(verdicts.weighted_grade, verdicts.scored)


def mean(total: float, number: int) -> float:
    """Return `total` over `number`; 0 of nothing."""
    return total / number if number else 0.0


def per_cent(part: float, whole: float) -> float:
    """Return what share of the whole a part is; 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def round_half_up(figure: float) -> int:
    """Return the nearest integer; of two equally near the one farther from nought."""
    return int(Decimal(figure).to_integral_value(ROUND_HALF_UP))


def with_exact(**figures: float) -> dict[str, Any]:
    """Return each figure rounded under its name, and as it is under its name with `_exact`."""
    exact = {f"{name}_exact": figure for name, figure in figures.items()}
    return {name: round_half_up(figure) for name, figure in figures.items()} | exact


T = TypeVar("T")
TimePointModel = TypeVar("TimePointModel", bound=TimePoint)


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One path that answers a question, whatever else is asked.

    Args:
        path: where it is below `/v1/analytics`.
        summary, description: what it shows, for people.
        reply: what `draw` returns.
    """

    path: str
    summary: str
    description: str
    reply: type[BaseModel]
    build: Callable[[Queries, MetricsQuery], Awaitable[BaseModel]]


def time_points(
    point: type[TimePointModel], timeline: Timeline[T], fields_of: Callable[[T], Mapping[str, Any]]
) -> list[TimePointModel]:
    """Return a data point for each piece of time."""
    return [
        point(timestamp=iso_time(bucket.starts_at_us), **fields_of(bucket.figures))
        for bucket in timeline.buckets
    ]


def total_graph(timeline: Timeline[T], count: Callable[[T], int]) -> TotalGraph:
    """Return a graph of one number."""

    def total(figures: T) -> dict[str, int]:
        return {"total": count(figures)}

    return TotalGraph(
        summary=Total(**total(timeline.overall)), data_points=time_points(TotalAt, timeline, total)
    )
