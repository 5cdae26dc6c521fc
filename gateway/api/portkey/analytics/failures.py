"""Graphs of what went wrong, and of what went well in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gateway.api.portkey.analytics.figures import per_cent, with_exact
from gateway.api.portkey.analytics.shapes import At, Graph, Rate, RateAt, Total, TotalGraph
from gateway.api.portkey.analytics.views import View, points, total_graph
from gateway.domain.aggregate import Question, UsageSums
from gateway.domain.filter import Scalar
from gateway.query.timelines import usage_by_value_over_time, usage_over_time
from gateway.store.figures import AggregateQueries

Status = Annotated[int, Field(description="A status; 0 where none was sent.")]


class StatusErrors(BaseModel):
    response_status_code: Status
    count: int


class ErrorsByStatus(At):
    stats: list[StatusErrors] = Field(description="How many errors had which status.")


class ErrorCodes(BaseModel):
    total_errors: int
    unique_error_codes: int


class ErrorCode(BaseModel):
    status_code: Status
    count: int


class RescuedTotals(BaseModel):
    """Requests that went well in the end: by trying again, or with another provider."""

    retry: int
    fallback: int


class Retries(BaseModel):
    retry_success_count: int = Field(description="Which retry went well, from 1.")
    count: int


class Rescued(At):
    """Requests that went well in the end: by trying again, or with another provider."""

    retry: list[Retries]
    fallback: int


RateGraph = Graph[Rate, RateAt]
ErrorsByStatusGraph = Graph[Total, ErrorsByStatus]
ErrorCodesGraph = Graph[ErrorCodes, ErrorCode]
RescuedGraph = Graph[RescuedTotals, Rescued]


async def _draw_errors(store: AggregateQueries, question: Question) -> TotalGraph:
    return total_graph(await usage_over_time(store, question), lambda usage: usage.errors)


async def _draw_error_rate(store: AggregateQueries, question: Question) -> RateGraph:
    usage = await usage_over_time(store, question)
    return RateGraph(summary=Rate(**_rate(usage.whole)), data_points=points(RateAt, usage, _rate))


async def _draw_errors_by_status(store: AggregateQueries, question: Question) -> ErrorsByStatusGraph:
    usage = await usage_by_value_over_time(store, question, "status")
    return ErrorsByStatusGraph(
        summary=Total(total=sum(_errors(usage.whole).values())),
        data_points=points(ErrorsByStatus, usage, _stats),
    )


async def _draw_error_codes(store: AggregateQueries, question: Question) -> ErrorCodesGraph:
    usage = await store.usage(replace(question, group_by="status"))
    counts = _errors({cell.value: sums for cell, sums in usage.items()})
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ErrorCodesGraph(
        summary=ErrorCodes(total_errors=sum(counts.values()), unique_error_codes=len(counts)),
        data_points=[ErrorCode(status_code=status, count=count) for status, count in most_first],
    )


async def _draw_rescued(store: AggregateQueries, question: Question) -> RescuedGraph:
    usage = await usage_by_value_over_time(store, question, "attempt")
    return RescuedGraph(
        summary=RescuedTotals(retry=sum(_retries(usage.whole).values()), fallback=0),
        data_points=points(Rescued, usage, _rescued),
    )


def _rate(usage: UsageSums) -> dict[str, Any]:
    return with_exact(rate=per_cent(usage.errors, usage.requests))


def _errors(by_status: Mapping[Scalar, UsageSums]) -> dict[int, int]:
    """How many errors had which status."""
    return {_integer(status): usage.errors for status, usage in by_status.items() if usage.errors}


def _stats(by_status: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    errors = sorted(_errors(by_status).items())
    return {"stats": [StatusErrors(response_status_code=status, count=count) for status, count in errors]}


def _retries(by_attempt: Mapping[Scalar, UsageSums]) -> dict[int, int]:
    """How many requests went well with which retry."""
    went_well = {_integer(attempt): usage.requests - usage.errors for attempt, usage in by_attempt.items()}
    return {attempt: count for attempt, count in went_well.items() if attempt and count}


def _rescued(by_attempt: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    retries = sorted(_retries(by_attempt).items())
    return {
        "retry": [Retries(retry_success_count=attempt, count=count) for attempt, count in retries],
        "fallback": 0,
    }


def _integer(value: Scalar) -> int:
    return value if isinstance(value, int) else 0


VIEWS = (
    View(
        "graphs/errors", "Errors over time",
        "What was answered with a status from 400 on, or not to its end though the caller waited.",
        TotalGraph, _draw_errors,
    ),
    View("graphs/errors/rate", "Share of errors over time", "In per cent.", RateGraph, _draw_error_rate),
    View(
        "graphs/errors/stacks", "Errors by status over time",
        "An answer that broke off keeps the status that it began with.",
        ErrorsByStatusGraph, _draw_errors_by_status,
    ),
    View(
        "graphs/errors/status-codes", "Errors by status",
        "Those of most errors first.",
        ErrorCodesGraph, _draw_error_codes,
    ),
    View(
        "graphs/requests/rescued", "Rescued requests over time",
        "What went well when it was tried again. There are no fallbacks yet, so none has rescued any.",
        RescuedGraph, _draw_rescued,
    ),
)  # fmt: skip
