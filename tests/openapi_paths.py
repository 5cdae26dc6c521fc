"""Which documented operations end by themselves, for tests that call them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_endless(operation: Mapping[str, Any]) -> bool:
    """Tell whether an operation answers with events until somebody hangs up."""
    answer = operation.get("responses", {}).get("200", {})
    return "text/event-stream" in answer.get("content", {})


def without_endless(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document without such operations."""
    paths = {
        path: {method: each for method, each in operations.items() if not is_endless(each)}
        for path, operations in document["paths"].items()
    }
    return {**document, "paths": {path: operations for path, operations in paths.items() if operations}}
