"""Figures of many requests as the native API shows them: what they took, and what was said of them.

A row has them behind what it is about: `class TraceRow(Figures, TraceName)`, since a reply begins with the fields
of the base that is named last.
"""

from __future__ import annotations

from pydantic import Field

from gateway.api.native.replies import Shape
from gateway.domain.aggregate import Latencies, UsageSums, VerdictSums, percentile_ms
from gateway.domain.request import NANO
from gateway.query.statistics import Estimate, mean_score, share_positive


class EstimateShape(Shape):
    """A figure with its 95 % confidence interval, whose bounds are null where one verdict alone tells nothing."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, estimate: Estimate | None) -> EstimateShape | None:
        if estimate is None:
            return None
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)


class FeedbackFigures(Shape):
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
    def of(cls, verdicts: VerdictSums) -> FeedbackFigures:
        return cls(
            count=verdicts.entries,
            total_weight=verdicts.weight,
            mean_score=EstimateShape.of(mean_score(verdicts)),
            share_positive=EstimateShape.of(share_positive(verdicts)),
            average_weighted_grade=_ratio(verdicts.weighted_grade, verdicts.scored),
        )


class CostFigures(Shape):
    usd: float
    nanousd: int = Field(description="The same in billionths of a US dollar, exact.")
    priced_requests: int = Field(description="Requests whose cost is known; the others count as nothing.")


class TokenFigures(Shape):
    prompt: int
    completion: int
    cached: int = Field(description="Part of `prompt` that was read from a cache.")
    counted_requests: int = Field(description="Requests whose tokens are known; the others count as nothing.")


class Figures(Shape):
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


class LatencyFigures(Shape):
    """Milliseconds from a request's arrival to the end of its response. Percentiles are within 0.8 %."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class TimedFigures(Figures):
    latency_ms: LatencyFigures | None = Field(description="Null where there are no requests.")
    first_byte_ms: float | None = Field(
        description="Mean time to the first byte of those that got an answer; null where none did."
    )


def figures(usage: UsageSums, verdicts: VerdictSums) -> dict[str, object]:
    """Return the fields of `Figures`."""
    return {
        "requests": usage.requests,
        "errors": usage.errors,
        "error_rate": _ratio(usage.errors, usage.requests),
        "coverage": _ratio(verdicts.judged_requests, usage.requests),
        "cost": CostFigures(
            usd=usage.cost_nanousd / NANO, nanousd=usage.cost_nanousd, priced_requests=usage.priced
        ),
        "tokens": TokenFigures(
            prompt=usage.prompt_tokens,
            completion=usage.completion_tokens,
            cached=usage.cached_tokens,
            counted_requests=usage.tokens_counted,
        ),
        "feedback": FeedbackFigures.of(verdicts),
    }


def timed_figures(usage: UsageSums, verdicts: VerdictSums, latencies: Latencies) -> dict[str, object]:
    """Return the fields of `TimedFigures`."""
    return {
        **figures(usage, verdicts),
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
