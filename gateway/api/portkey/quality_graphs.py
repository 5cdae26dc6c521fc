"""Analytics graphs of errors, rescued requests and feedback."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, Field

from gateway.api.portkey import graphs
from gateway.models.filters import Scalar
from gateway.models.metrics import GRADE_FIELD, FeedbackSums, MetricsQuery, UsageSums
from gateway.query.metrics import MetricsReader

Status = Annotated[int, Field(description="Response status; 0 where none was sent.")]


class StatusErrors(BaseModel):
    response_status_code: Status
    count: int


class ErrorsByStatus(graphs.TimePoint):
    stats: list[StatusErrors] = Field(description="The number of errors by status.")


class ErrorCodes(BaseModel):
    total_errors: int
    unique_error_codes: int


class ErrorCode(BaseModel):
    status_code: Status
    count: int


class RescuedTotals(BaseModel):
    """Requests that succeeded after a retry, or with another provider."""

    retry: int
    fallback: int


class Retries(BaseModel):
    retry_success_count: int = Field(description="Which retry succeeded, from 1.")
    count: int


class Rescued(graphs.TimePoint):
    """Requests that succeeded after a retry, or with another provider."""

    retry: list[Retries]
    fallback: int


UsageByValue = Mapping[Scalar, UsageSums]


def _error_rate(usage: UsageSums) -> dict[str, Any]:
    return graphs.with_exact(rate=graphs.per_cent(usage.errors, usage.requests))


async def _error_codes_graph(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
    usage = await metrics.usage_by_group(replace(query, group_by="status"))
    counts = _errors_by_status({group.value: sums for group, sums in usage.items()})
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "summary": {"total_errors": sum(counts.values()), "unique_error_codes": len(counts)},
        "data_points": [{"status_code": status, "count": count} for status, count in most_first],
    }


def _errors_by_status(by_status: UsageByValue) -> dict[int, int]:
    return {_as_integer(status): usage.errors for status, usage in by_status.items() if usage.errors}


def _status_fields(by_status: UsageByValue) -> dict[str, Any]:
    errors = sorted(_errors_by_status(by_status).items())
    return {"stats": [{"response_status_code": status, "count": count} for status, count in errors]}


def _successful_retries(by_attempt: UsageByValue) -> dict[int, int]:
    successes = {_as_integer(attempt): usage.requests - usage.errors for attempt, usage in by_attempt.items()}
    return {attempt: count for attempt, count in successes.items() if attempt and count}


def _rescued_fields(by_attempt: UsageByValue) -> dict[str, Any]:
    retries = sorted(_successful_retries(by_attempt).items())
    return {
        "retry": [{"retry_success_count": attempt, "count": count} for attempt, count in retries],
        "fallback": 0,
    }


def _as_integer(value: Scalar) -> int:
    return value if isinstance(value, int) else 0


class ScoreTotal(graphs.Total):
    score: int = Field(description="A value from -10 to 10.")


class ModelFeedback(graphs.Total):
    ai_model: str
    avg_weighted_feedback: int = Field(description="The mean of value × weight; 0 where there is none.")
    avg_weighted_feedback_exact: graphs.Exact


async def _scores_graph(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
    totals: Counter[int] = Counter()
    by_grade = await metrics.feedback_by_group(replace(query, group_by=GRADE_FIELD))
    for group, feedback in by_grade.items():
        if isinstance(group.value, float):
            totals[graphs.round_half_up(group.value)] += feedback.entries
    return {
        "summary": {"total": totals.total()},
        "data_points": [{"score": score, "total": total} for score, total in sorted(totals.items())],
    }


async def _models_graph(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
    by_model = await metrics.feedback_by_group(replace(query, group_by="any_model"))
    most_first = sorted(by_model.items(), key=lambda item: (-item[1].entries, str(item[0].value)))
    return {
        "summary": {},
        "data_points": [
            {
                "ai_model": str(group.value),
                "total": feedback.entries,
                **graphs.with_exact(avg_weighted_feedback=graphs.mean_weighted_feedback(feedback)),
            }
            for group, feedback in most_first
            if group.value is not None
        ],
    }


def _weighted_fields(feedback: FeedbackSums) -> dict[str, Any]:
    return graphs.with_exact(avg=graphs.mean_weighted_feedback(feedback))


ERROR_GRAPHS = (
    graphs.GraphSpec(
        "graphs/errors", "Errors over time",
        "Requests with a status from 400 on, or without a complete response though the caller waited.",
        graphs.Graph[graphs.Total, graphs.TotalAt],
        graphs.over_time(MetricsReader.usage_over_time, lambda usage: {"total": usage.errors}),
    ),
    graphs.GraphSpec(
        "graphs/errors/rate", "Share of errors over time", "In per cent.",
        graphs.Graph[graphs.Rate, graphs.RateAt], graphs.over_time(MetricsReader.usage_over_time, _error_rate),
    ),
    graphs.GraphSpec(
        "graphs/errors/stacks", "Errors by status over time",
        "A response that broke off keeps the status that it began with.",
        graphs.Graph[graphs.Total, ErrorsByStatus],
        graphs.over_time(
            lambda metrics, query: metrics.usage_by_value_over_time(query, "status"), _status_fields,
            summary=lambda by_status: {"total": sum(_errors_by_status(by_status).values())},
        ),
    ),
    graphs.GraphSpec(
        "graphs/errors/status-codes", "Errors by status",
        "Those of most errors first.",
        graphs.Graph[ErrorCodes, ErrorCode], _error_codes_graph,
    ),
    graphs.GraphSpec(
        "graphs/requests/rescued", "Rescued requests over time",
        "Requests that succeeded on a later attempt; those that a fallback rescued count as `retry` too.",
        graphs.Graph[RescuedTotals, Rescued],
        graphs.over_time(
            lambda metrics, query: metrics.usage_by_value_over_time(query, "attempt"), _rescued_fields,
            summary=lambda by_attempt: {"retry": sum(_successful_retries(by_attempt).values()), "fallback": 0},
        ),
    ),
)  # fmt: skip

FEEDBACK_GRAPHS = (
    graphs.GraphSpec(
        "graphs/feedbacks", "Feedback over time", "By the start of the request that it counts for.",
        graphs.Graph[graphs.Total, graphs.TotalAt],
        graphs.over_time(MetricsReader.feedback_over_time, lambda feedback: {"total": feedback.entries}),
    ),
    graphs.GraphSpec(
        "graphs/feedbacks/scores", "Feedback by value",
        "Entries without a value are left out. Values of other scales are converted to this one and rounded.",
        graphs.Graph[graphs.Total, ScoreTotal], _scores_graph,
    ),
    graphs.GraphSpec(
        "graphs/feedbacks/weighted", "Weighted feedback over time",
        "The mean of value × weight. Entries without a value are left out.",
        graphs.Graph[graphs.Mean, graphs.MeanAt],
        graphs.over_time(MetricsReader.feedback_over_time, _weighted_fields),
    ),
    graphs.GraphSpec(
        "graphs/feedbacks/ai-models", "Feedback by model", "Those of most feedback first.",
        graphs.Graph[graphs.NoSummary, ModelFeedback], _models_graph,
    ),
)  # fmt: skip
