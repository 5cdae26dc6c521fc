"""View: something that can be looked at under `/v1/analytics`; and what the drawing of graphs has in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from gateway.api.portkey.analytics.shapes import At, Total, TotalAt, TotalGraph
from gateway.api.portkey.values import iso_time
from gateway.domain.aggregate import Question
from gateway.query.timelines import Timeline
from gateway.store.figures import AggregateQueries

T = TypeVar("T")
Point = TypeVar("Point", bound=At)


@dataclass(frozen=True, slots=True)
class View:
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
    draw: Callable[[AggregateQueries, Question], Awaitable[BaseModel]]


def points(
    point: type[Point], timeline: Timeline[T], fields_of: Callable[[T], Mapping[str, Any]]
) -> list[Point]:
    """Return a data point for each piece of time."""
    return [
        point(timestamp=iso_time(piece.starts_at_us), **fields_of(piece.figures)) for piece in timeline.pieces
    ]


def total_graph(timeline: Timeline[T], count: Callable[[T], int]) -> TotalGraph:
    """Return a graph of one number."""

    def total(figures: T) -> dict[str, int]:
        return {"total": count(figures)}

    return TotalGraph(summary=Total(**total(timeline.whole)), data_points=points(TotalAt, timeline, total))
