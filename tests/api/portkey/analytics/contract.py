"""What Portkey's document says that is answered, path by path, and a check that an answer is as it says.

Source: the responses of the paths /analytics in https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

TIME = "date-time"
"""Stands for a text that is a time."""

Shape = Any
"""A type, `TIME`, a text that must be just so in a set, a mapping of fields, or a list of one shape."""


def _integers(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), int)


def _graph(summary: dict[str, Shape], point: dict[str, Shape]) -> dict[str, Shape]:
    return {"summary": summary, "data_points": [point], "object": {"analytics-graph"}}


def _over_time(summary: str, point: str, **others: Shape) -> dict[str, Shape]:
    return _graph(_integers(summary), {"timestamp": TIME, **_integers(point), **others})


def _list(group: dict[str, Shape]) -> dict[str, Shape]:
    return {"object": {"list"}, "total": int, "data": [{**group, "object": {"analytics-group"}}]}


ANSWERS: Mapping[str, dict[str, Shape]] = {
    "graphs/requests": _over_time("total", "total"),
    "graphs/cost": _over_time("total avg", "total avg"),
    "graphs/latency": _over_time("avg p50 p90 p99", "avg p50 p90 p99"),
    "graphs/tokens": _over_time("total avg", "total avg"),
    "graphs/users": _over_time("total", "total"),
    "graphs/users/requests": _over_time("total unique avg", "avg"),
    "graphs/errors": _over_time("total", "total"),
    "graphs/errors/rate": _over_time("rate", "rate"),
    "graphs/errors/stacks": _over_time("total", "", stats=[_integers("response_status_code count")]),
    "graphs/errors/status-codes": _graph(
        _integers("total_errors unique_error_codes"), _integers("status_code count")
    ),
    "graphs/requests/rescued": _over_time(
        "retry fallback", "fallback", retry=[_integers("retry_success_count count")]
    ),
    "graphs/cache/hit-rate": _over_time(
        "total rate",
        "simple_hits semantic_hits rate cumulative_simple_cache_savings cumulative_semantic_cache_savings",
    ),
    "graphs/cache/latency": _over_time("", "avg"),
    "graphs/feedbacks": _over_time("total", "total"),
    "graphs/feedbacks/scores": _graph(_integers("total"), _integers("score total")),
    "graphs/feedbacks/weighted": _over_time("avg", "avg"),
    "graphs/feedbacks/ai-models": _graph({}, {"ai_model": str, **_integers("total avg_weighted_feedback")}),
    "summary/cache": {
        "summary": _integers("hits avg_latency total_requests cache_speedup"),
        "object": {"analytics-summary"},
    },
    "groups/users": _list({"user": str, "requests": str, "cost": str}),
    "groups/ai-models": _list({"ai_model": str, "requests": str}),
    "groups/metadata/team": _list(
        {
            "metadata_value": str,
            **_integers("requests cost avg_tokens avg_weighted_feedback requests_with_feedback"),
            "last_seen": TIME,
        }
    ),
}
"""What each path below /analytics answers. Fields that are not named may be there as well."""


def assert_conforms(value: Any, shape: Shape, place: str) -> None:
    """Fail unless a JSON value has this shape; says where it has not."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), place
        assert value.keys() >= shape.keys(), place
        for name, of_field in shape.items():
            assert_conforms(value[name], of_field, f"{place}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), place
        for number, item in enumerate(value):
            assert_conforms(item, shape[0], f"{place}[{number}]")
    elif isinstance(shape, set):
        assert value in shape, place
    elif shape == TIME:
        assert datetime.fromisoformat(value).tzinfo is not None, place
    else:
        assert type(value) is shape, place
