"""docs/helicone.md names what can be searched and sorted by, and what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api.helicone.columns import COLUMNS, NAMED, NESTED
from gateway.api.helicone.sorting import REFUSED, SORTABLE

PAGE = (Path(__file__).parents[3] / "docs/helicone.md").read_text()
FILTERS, ORDERS = (PAGE.split(f"### {title}")[1].split("\n## ")[0] for title in ("Filters", "Order"))


@pytest.mark.parametrize("table", [*COLUMNS, *NAMED])
def test_every_table_and_column_of_filters_is_named(table: str) -> None:
    columns = [*COLUMNS.get(table, ()), *NESTED.get(table, ())]
    assert [name for name in (table, *columns) if f"`{name}`" not in FILTERS] == []


def test_every_column_of_orders_is_named() -> None:
    assert [name for name in (*SORTABLE, *REFUSED, "properties", "random") if f"`{name}`" not in ORDERS] == []
