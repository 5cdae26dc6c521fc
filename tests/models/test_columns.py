"""Columns: what is declared of each is complete, and the page of them is what it would be anew."""

from __future__ import annotations

import pytest

from gateway.models.columns import FILTER, GROUP, PERSONAL, Column, Origin
from gateway.models.feedback import FEEDBACK_COLUMNS
from gateway.models.request import METADATA_KEYS, REQUEST_COLUMNS
from tests.store.column_tables import PAGE, with_tables


@pytest.mark.parametrize("column", [*REQUEST_COLUMNS, *FEEDBACK_COLUMNS], ids=lambda column: column.name)
def test_each_column_is_described_in_a_sentence(column: Column) -> None:
    assert column.description.endswith(".")


def test_columns_of_the_metadata_are_personal_and_found_by_the_name_of_their_key() -> None:
    columns = [column for column in REQUEST_COLUMNS if column.origin is Origin.METADATA]
    assert tuple(f"_{column.name}" for column in columns) == METADATA_KEYS
    assert all(column.uses == FILTER | GROUP | PERSONAL for column in columns)


def test_the_page_has_the_tables_of_the_columns() -> None:
    page = PAGE.read_text("utf-8")
    assert page.count("<!-- columns of ") == 2
    assert page == with_tables(page), (
        "docs/reference/columns.md is behind: run python -m tests.store.column_tables"
    )
