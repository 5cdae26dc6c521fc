"""What graphs and groups are made of.

The document that these follow has integers where money, means and shares have fractions. So such a figure is there
twice: rounded under its name, and as it is under the same name with `_exact`.

Source: the paths /analytics of https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

Exact = Annotated[float, Field(description="The same with its fraction.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class At(BaseModel):
    """A data point in the course of time."""

    timestamp: Time = Field(description="When its piece of time begins.")


class Total(BaseModel):
    total: int = Field(description="How many there are.")


class TotalAt(Total, At):
    pass


class Mean(BaseModel):
    avg: int = Field(description="The mean; 0 where there is nothing.")
    avg_exact: Exact


class MeanAt(Mean, At):
    pass


class Rate(BaseModel):
    rate: int = Field(description="The share in per cent; 0 where there is nothing.")
    rate_exact: Exact


class RateAt(Rate, At):
    pass


class NoSummary(BaseModel):
    """There is none."""


Summary = TypeVar("Summary", bound=BaseModel)
Point = TypeVar("Point", bound=BaseModel)


class Graph(BaseModel, Generic[Summary, Point]):
    """What a chart is drawn from."""

    summary: Summary
    data_points: list[Point]
    object: Literal["analytics-graph"] = "analytics-graph"


TotalGraph = Graph[Total, TotalAt]


class Group(BaseModel):
    """Requests that have something in common."""

    object: Literal["analytics-group"] = "analytics-group"


Row = TypeVar("Row", bound=Group)


class Groups(BaseModel, Generic[Row]):
    """One page of groups, those of most requests first."""

    object: Literal["list"] = "list"
    total: int = Field(description="How many groups there are on all pages.")
    data: list[Row]
