"""docs/helicone.md names what can be searched and sorted by, and what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api.helicone.filters import NAMED_TABLES, NESTED_COLUMNS, TABLE_COLUMNS
from gateway.api.helicone.requests import SORT_COLUMNS, UNSUPPORTED_SORTS

PAGE = (Path(__file__).parents[3] / "docs/helicone.md").read_text()
FILTERS, ORDERS = (PAGE.split(f"### {title}")[1].split("\n## ")[0] for title in ("Filters", "Order"))


@pytest.mark.parametrize("table", [*TABLE_COLUMNS, *NAMED_TABLES])
def test_every_table_and_column_of_filters_is_named(table: str) -> None:
    columns = [*TABLE_COLUMNS.get(table, ()), *NESTED_COLUMNS.get(table, ())]
    assert [name for name in (table, *columns) if f"`{name}`" not in FILTERS] == []


def test_every_column_of_orders_is_named() -> None:
    assert [
        name
        for name in (*SORT_COLUMNS, *UNSUPPORTED_SORTS, "properties", "random")
        if f"`{name}`" not in ORDERS
    ] == []
