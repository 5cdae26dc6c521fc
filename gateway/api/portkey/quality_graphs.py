"""Analytics graphs of errors, rescued requests and feedback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gateway.api.portkey.graphs import (
    Exact,
    Graph,
    GraphSpec,
    Mean,
    MeanAt,
    NoSummary,
    Rate,
    RateAt,
    TimePoint,
    Total,
    TotalGraph,
    mean_weighted_feedback,
    per_cent,
    round_half_up,
    time_points,
    total_graph,
    with_exact,
)
from gateway.models.filters import Scalar
from gateway.models.metrics import GRADE_FIELD, FeedbackSums, MetricsQuery, UsageSums
from gateway.query.metrics import feedback_over_time, usage_by_value_over_time, usage_over_time
from gateway.store.base import Queries

Status = Annotated[int, Field(description="A status; 0 where none was sent.")]


class StatusErrors(BaseModel):
    response_status_code: Status
    count: int


class ErrorsByStatus(TimePoint):
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


class Rescued(TimePoint):
    """Requests that went well in the end: by trying again, or with another provider."""

    retry: list[Retries]
    fallback: int


RateGraph = Graph[Rate, RateAt]
ErrorsByStatusGraph = Graph[Total, ErrorsByStatus]
ErrorCodesGraph = Graph[ErrorCodes, ErrorCode]
RescuedGraph = Graph[RescuedTotals, Rescued]


async def _errors_graph(store: Queries, metrics_query: MetricsQuery) -> TotalGraph:
    return total_graph(await usage_over_time(store, metrics_query), lambda usage: usage.errors)


async def _error_rate_graph(store: Queries, metrics_query: MetricsQuery) -> RateGraph:
    usage = await usage_over_time(store, metrics_query)
    return RateGraph(
        summary=Rate(**_error_rate(usage.overall)), data_points=time_points(RateAt, usage, _error_rate)
    )


async def _errors_by_status_graph(store: Queries, metrics_query: MetricsQuery) -> ErrorsByStatusGraph:
    usage = await usage_by_value_over_time(store, metrics_query, "status")
    return ErrorsByStatusGraph(
        summary=Total(total=sum(_errors_by_status(usage.overall).values())),
        data_points=time_points(ErrorsByStatus, usage, _status_counts),
    )


async def _error_codes_graph(store: Queries, metrics_query: MetricsQuery) -> ErrorCodesGraph:
    usage = await store.usage(replace(metrics_query, group_by="status"))
    counts = _errors_by_status({cell.value: sums for cell, sums in usage.items()})
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ErrorCodesGraph(
        summary=ErrorCodes(total_errors=sum(counts.values()), unique_error_codes=len(counts)),
        data_points=[ErrorCode(status_code=status, count=count) for status, count in most_first],
    )


async def _rescued_graph(store: Queries, metrics_query: MetricsQuery) -> RescuedGraph:
    usage = await usage_by_value_over_time(store, metrics_query, "attempt")
    return RescuedGraph(
        summary=RescuedTotals(retry=sum(_successful_retries(usage.overall).values()), fallback=0),
        data_points=time_points(Rescued, usage, _rescued_fields),
    )


def _error_rate(usage: UsageSums) -> dict[str, Any]:
    return with_exact(rate=per_cent(usage.errors, usage.requests))


def _errors_by_status(by_status: Mapping[Scalar, UsageSums]) -> dict[int, int]:
    """How many errors had which status."""
    return {_as_integer(status): usage.errors for status, usage in by_status.items() if usage.errors}


def _status_counts(by_status: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    errors = sorted(_errors_by_status(by_status).items())
    return {"stats": [StatusErrors(response_status_code=status, count=count) for status, count in errors]}


def _successful_retries(by_attempt: Mapping[Scalar, UsageSums]) -> dict[int, int]:
    """How many requests went well with which retry."""
    went_well = {_as_integer(attempt): usage.requests - usage.errors for attempt, usage in by_attempt.items()}
    return {attempt: count for attempt, count in went_well.items() if attempt and count}


def _rescued_fields(by_attempt: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    retries = sorted(_successful_retries(by_attempt).items())
    return {
        "retry": [Retries(retry_success_count=attempt, count=count) for attempt, count in retries],
        "fallback": 0,
    }


def _as_integer(value: Scalar) -> int:
    return value if isinstance(value, int) else 0


ERROR_GRAPHS = (
    GraphSpec(
        "graphs/errors", "Errors over time",
        "What was answered with a status from 400 on, or not to its end though the caller waited.",
        TotalGraph, _errors_graph,
    ),
    GraphSpec("graphs/errors/rate", "Share of errors over time", "In per cent.", RateGraph, _error_rate_graph),
    GraphSpec(
        "graphs/errors/stacks", "Errors by status over time",
        "An answer that broke off keeps the status that it began with.",
        ErrorsByStatusGraph, _errors_by_status_graph,
    ),
    GraphSpec(
        "graphs/errors/status-codes", "Errors by status",
        "Those of most errors first.",
        ErrorCodesGraph, _error_codes_graph,
    ),
    GraphSpec(
        "graphs/requests/rescued", "Rescued requests over time",
        "What went well when it was tried again. There are no fallbacks yet, so none has rescued any.",
        RescuedGraph, _rescued_graph,
    ),
)  # fmt: skip


class ScoreTotal(Total):
    score: int = Field(description="A value from -10 to 10.")


class ModelFeedback(Total):
    ai_model: str
    avg_weighted_feedback: int = Field(description="The mean of value × weight; 0 where there is nothing.")
    avg_weighted_feedback_exact: Exact


ScoresGraph = Graph[Total, ScoreTotal]
WeightedGraph = Graph[Mean, MeanAt]
ModelsGraph = Graph[NoSummary, ModelFeedback]


async def _feedback_graph(store: Queries, metrics_query: MetricsQuery) -> TotalGraph:
    return total_graph(await feedback_over_time(store, metrics_query), lambda verdicts: verdicts.entries)


async def _scores_graph(store: Queries, metrics_query: MetricsQuery) -> ScoresGraph:
    totals: Counter[int] = Counter()
    for cell, verdicts in (await store.verdicts(replace(metrics_query, group_by=GRADE_FIELD))).items():
        if isinstance(cell.value, float):
            totals[round_half_up(cell.value)] += verdicts.entries
    return ScoresGraph(
        summary=Total(total=totals.total()),
        data_points=[ScoreTotal(score=score, total=total) for score, total in sorted(totals.items())],
    )


async def _weighted_graph(store: Queries, metrics_query: MetricsQuery) -> WeightedGraph:
    verdicts = await feedback_over_time(store, metrics_query)
    return WeightedGraph(
        summary=Mean(**_weighted_fields(verdicts.overall)),
        data_points=time_points(MeanAt, verdicts, _weighted_fields),
    )


async def _models_graph(store: Queries, metrics_query: MetricsQuery) -> ModelsGraph:
    by_model = await store.verdicts(replace(metrics_query, group_by="any_model"))
    most_first = sorted(by_model.items(), key=lambda item: (-item[1].entries, str(item[0].value)))
    return ModelsGraph(
        summary=NoSummary(),
        data_points=[
            ModelFeedback(
                ai_model=str(cell.value),
                total=verdicts.entries,
                **with_exact(avg_weighted_feedback=mean_weighted_feedback(verdicts)),
            )
            for cell, verdicts in most_first
            if cell.value is not None
        ],
    )


def _weighted_fields(verdicts: FeedbackSums) -> dict[str, Any]:
    return with_exact(avg=mean_weighted_feedback(verdicts))


FEEDBACK_GRAPHS = (
    GraphSpec(
        "graphs/feedbacks", "Feedback over time", "By when the request started that it counts for.",
        TotalGraph, _feedback_graph,
    ),
    GraphSpec(
        "graphs/feedbacks/scores", "Feedback by value",
        "Entries without a value are left out. Those of other scales are put on this one and rounded.",
        ScoresGraph, _scores_graph,
    ),
    GraphSpec(
        "graphs/feedbacks/weighted", "Weighted feedback over time",
        "The mean of value × weight. Entries without a value are left out.",
        WeightedGraph, _weighted_graph,
    ),
    GraphSpec(
        "graphs/feedbacks/ai-models", "Feedback by model", "Those of most feedback first.",
        ModelsGraph, _models_graph,
    ),
)  # fmt: skip
