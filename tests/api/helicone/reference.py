"""Helicone's filters and orders evaluated the plain way, on rows as they are answered, to hold the search
against."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

SHOWN_AS = {
    ("request", "prompt"): "request_text",
    ("request", "created_at"): "request_created_at",
    ("request", "user_id"): "request_user_id",
    ("request", "id"): "request_id",
    ("request", "model"): "request_model",
    ("request", "modelOverride"): "model_override",
    ("request", "path"): "request_path",
    ("request", "prompt_id"): "prompt_id",
    ("response", "body_tokens"): "total_tokens",
    ("response", "body_model"): "model",
    ("response", "body_completion"): "response_text",
    ("response", "model"): "response_model",
    ("response", "status"): "response_status",
    ("feedback", "id"): "feedback_id",
    ("feedback", "created_at"): "feedback_created_at",
    ("feedback", "rating"): "feedback_rating",
    ("request_response_rmt", "latency"): "delay_ms",
    ("request_response_rmt", "status"): "response_status",
    ("request_response_rmt", "request_created_at"): "request_created_at",
    ("request_response_rmt", "response_created_at"): "response_created_at",
    ("request_response_rmt", "model"): "model",
    ("request_response_rmt", "user_id"): "request_user_id",
    ("request_response_rmt", "request_id"): "request_id",
    ("request_response_rmt", "prompt_id"): "prompt_id",
    ("request_response_rmt", "prompt_tokens"): "prompt_tokens",
    ("request_response_rmt", "completion_tokens"): "completion_tokens",
    ("request_response_rmt", "total_tokens"): "total_tokens",
    ("request_response_rmt", "prompt_cache_read_tokens"): "prompt_cache_read_tokens",
    ("request_response_rmt", "prompt_cache_write_tokens"): "prompt_cache_write_tokens",
    ("request_response_rmt", "time_to_first_token"): "time_to_first_token",
    ("request_response_rmt", "provider"): "provider",
    ("request_response_rmt", "cost"): "costUSD",
    ("request_response_rmt", "cached"): "is_cached",
    ("request_response_rmt", "request_body"): "request_text",
    ("request_response_rmt", "response_body"): "response_text",
    ("request_response_rmt", "helicone-score-feedback"): "feedback_rating",
}
"""The field of a row that shows what a column holds."""

SORTED_BY = {
    "created_at": "request_created_at",
    "latency": "delay_ms",
    "total_tokens": "total_tokens",
    "completion_tokens": "completion_tokens",
    "prompt_tokens": "prompt_tokens",
    "user_id": "request_user_id",
    "body_model": "model",
    "is_cached": "is_cached",
    "request_prompt": "request_text",
    "response_text": "response_text",
    "cost_usd": "costUSD",
    "time_to_first_token": "time_to_first_token",
}
"""The field of a row by which a column sorts."""

TIMES = {"created_at", "request_created_at", "response_created_at"}


def passes(row: dict[str, Any], tree: Any) -> bool:
    """Tell whether a row passes a filter."""
    if tree == "all":
        return True
    if "operator" in tree:
        sides = passes(row, tree["left"]), passes(row, tree["right"])
        return all(sides) if tree["operator"] == "and" else any(sides)
    return all(
        _column_passes(row, table, column, tests)
        for table, columns in tree.items()
        for column, tests in columns.items()
    )


def in_order(rows: Iterable[dict[str, Any]], order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows in an order; of equal ones the one that came first stays first."""
    found = list(rows)
    for column, direction in reversed(order.items()):
        if column == "properties":
            for name, inner in reversed(direction.items()):
                found = sorted(found, key=lambda row: _rank(_property(row, name)), reverse=inner == "desc")
        else:
            found = sorted(found, key=lambda row: _rank(row[SORTED_BY[column]]), reverse=direction == "desc")
    return found


def _rank(value: Any) -> tuple[bool, Any]:
    """A missing value comes before all others."""
    return value is not None, 0 if value is None else value


def _column_passes(row: dict[str, Any], table: str, column: str, tests: dict[str, Any]) -> bool:
    if table == "properties":
        return _holds(_property(row, column), tests)
    if column in ("properties", "search_properties"):
        return all(_holds(_property(row, name), inner) for name, inner in tests.items())
    if column == "scores":
        return all(_holds(row["scores"].get(name), inner) for name, inner in tests.items())
    if column in ("property_key", "scores_column"):
        if column == "property_key":
            return all(
                (_property(row, wanted) is not None) is (operator == "equals")
                for operator, wanted in tests.items()
            )
        return all((wanted in row["scores"]) is (operator == "equals") for operator, wanted in tests.items())
    value = row[SHOWN_AS[table, column]]
    if column in TIMES:
        tests = {operator: _time(wanted) for operator, wanted in tests.items()}
        value = None if value is None else _time(value)
    return _holds(value, tests)


def _property(row: dict[str, Any], name: str) -> Any:
    """The property of a name in whatever case."""
    small = name.translate(LOWER)
    return next((text for key, text in row["properties"].items() if key.translate(LOWER) == small), None)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _holds(value: Any, tests: dict[str, Any]) -> bool:
    return all(_test(value, operator, wanted) for operator, wanted in tests.items())


def _test(value: Any, operator: str, wanted: Any) -> bool:
    """A missing value equals null alone, and passes only what is a denial."""
    if value is None or wanted is None:
        return (value is wanted) is (operator == "equals") if wanted is None else operator.startswith("not-")
    match operator:
        case "equals":
            return bool(value == wanted)
        case "not-equals":
            return bool(value != wanted)
        case "gte":
            return bool(value >= wanted)
        case "lte":
            return bool(value <= wanted)
        case "gt":
            return bool(value > wanted)
        case "lt":
            return bool(value < wanted)
        case "like":
            return _is_like(value, wanted)
        case "ilike":
            return _is_like(value.translate(LOWER), wanted.translate(LOWER))
    contains = _is_like(value.translate(LOWER), f"%{wanted.translate(LOWER)}%")
    return contains if operator == "contains" else not contains


def _is_like(value: str, pattern: str) -> bool:
    expression = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
