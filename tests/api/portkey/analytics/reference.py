"""Parameters read the plain way, to hold what the face finds against."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.models.request import RequestRecord

from .served import CENT


@dataclass(frozen=True)
class Judged:
    """A request, and each verdict on it as value and weight."""

    request: RequestRecord
    feedback_sums: list[tuple[float | None, float]]

    @property
    def weighted(self) -> list[float]:
        """Value × weight of those that have a value."""
        return [value * weight for value, weight in self.feedback_sums if value is not None]


def _tokens(request: RequestRecord) -> int | None:
    known = [count for count in (request.prompt_tokens, request.completion_tokens) if count is not None]
    return sum(known) if known else None


def _cents(one: Judged) -> float | None:
    return None if one.request.cost_nanousd is None else one.request.cost_nanousd / CENT


def _mean(one: Judged) -> float | None:
    return sum(one.weighted) / len(one.weighted) if one.weighted else None


def _has_metadata(one: Judged, text: str) -> bool:
    return all(one.request.metadata.get(key) == value for key, value in json.loads(text).items())


MEASURES: Mapping[str, Callable[[Judged], float | None]] = {
    "total_units": lambda one: _tokens(one.request),
    "prompt_token": lambda one: one.request.prompt_tokens,
    "completion_token": lambda one: one.request.completion_tokens,
    "cost": _cents,
    "weighted_feedback": _mean,
}
LISTS: Mapping[str, Callable[[Judged], str]] = {
    "status_code": lambda one: str(one.request.status),
    "virtual_keys": lambda one: one.request.provider,
    "ai_model": lambda one: str(one.request.model),
    "ai_org_model": lambda one: f"{one.request.provider}__{one.request.model}",
    "api_key_ids": lambda one: str(one.request.key_name),
    "trace_id": lambda one: one.request.trace_id,
    "prompt_slug": lambda one: str(one.request.prompt),
}
VALUES: Mapping[str, list[str]] = {
    "total_units": ["0", "5", "12"],
    "prompt_token": ["0", "3", "9"],
    "completion_token": ["0", "3", "9"],
    "cost": ["0", "0.5", "1.25", "40"],
    "weighted_feedback": ["-10", "-1.5", "0", "2", "10"],
    "status_code": ["200", "429", "500"],
    "virtual_keys": ["openai", "local", "other"],
    "ai_model": ["small", "large", "other"],
    "ai_org_model": ["openai__small", "local__large", "local__other"],
    "api_key_ids": ["app", "web"],
    "trace_id": ["r1", "r2", "r3", "r4"],
    "prompt_slug": ["greet", "part"],
    "metadata": ["{}", '{"team": "red"}', '{"team": "blue", "_user": "ann"}', '{"n": 3}', '{"n": true}'],
}


def some_parameters(dice: random.Random) -> dict[str, str]:
    """Up to three filters."""
    parameters: dict[str, str] = {}
    for name in dice.sample(sorted(VALUES), dice.randrange(4)):
        if name in MEASURES:
            parameters[f"{name}_{dice.choice(['min', 'max'])}"] = dice.choice(VALUES[name])
        elif name in LISTS:
            parameters[name] = ",".join(dice.sample(VALUES[name], dice.randint(1, 2)))
        else:
            parameters[name] = dice.choice(VALUES[name])
    return parameters


def passes(one: Judged, parameters: Mapping[str, str]) -> bool:
    """Tell whether a request is among those that the parameters ask for."""
    return all(_holds(one, name, text) for name, text in parameters.items())


def _holds(one: Judged, name: str, text: str) -> bool:
    if name == "metadata":
        return _has_metadata(one, text)
    if name in LISTS:
        return LISTS[name](one) in text.split(",")
    measure, _, bound = name.rpartition("_")
    figure = MEASURES[measure](one)
    if figure is None:
        return False
    return figure >= float(text) if bound == "min" else figure <= float(text)
