"""The written page on logs has every path, filter and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.api.portkey.exports import COLUMNS, ExportEndpoints
from gateway.api.portkey.filters import ExportFilters
from gateway.api.portkey.log_object import AnalyticsMetrics
from gateway.api.portkey.logs import LogEndpoints
from gateway.models.export import ExportStatus
from gateway.web.endpoint import endpoints_of

UNUSED: Any = None
PAGE = (Path(__file__).parents[3] / "docs/portkey.md").read_text()


@pytest.mark.parametrize("name", [*COLUMNS, *ExportFilters.model_fields, *ExportStatus])
def test_every_filter_column_and_status_is_named(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_field_that_is_said_to_be_in_the_metrics_is() -> None:
    fields = {field.alias or name for name, field in AnalyticsMetrics.model_fields.items()}
    assert set(re.findall(r"`metrics\.(\w+)`", PAGE)) <= fields


def test_every_path_is_named_with_its_role() -> None:
    endpoints = [
        *endpoints_of(ExportEndpoints(UNUSED, UNUSED, 0)),
        *endpoints_of(LogEndpoints(UNUSED, UNUSED, UNUSED, 0)),
    ]
    for endpoint in endpoints:
        path = re.sub(r":.*\}$", "}", endpoint.path)
        role = f"`{endpoint.role}`" if endpoint.role else "none"
        assert f"| `{endpoint.method} {path}` | {role} |" in PAGE
