"""Rows of products with several tables: none stops an import, whatever it holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.import_formats import FORMATS, Translator
from gateway.errors import BadInput
from gateway.feedback.imported import RowKind
from gateway.feedback.payloads import signed_scale
from tests.api.imported_cases import ANY_JSON
from tests.cli.trace_exports import langfuse_files, langsmith_files, tensorzero_files

SAMPLES = [
    (name, row)
    for name, files in {
        "langfuse": langfuse_files(),
        "langsmith": langsmith_files(),
        "tensorzero": tensorzero_files(),
    }.items()
    for rows in files.values()
    for row in rows
]


@given(row=st.sampled_from([row for _, row in SAMPLES]), changes=st.data())
def test_a_row_with_any_value_is_taken_or_refused_by_the_name_of_a_field(
    row: dict[str, Any], changes: st.DataObject
) -> None:
    field = changes.draw(st.sampled_from(sorted(row)))
    changed = {**row, field: changes.draw(ANY_JSON)}
    translator = Translator("auto", None, signed_scale, {})
    try:
        _, kind = translator.recognise(changed)
        refused = None
        if kind is RowKind.REQUEST:
            found = translator.translate(changed).exchange
            assert found.ended_at_us >= found.started_at_us > 0
        elif kind is RowKind.FEEDBACK:
            assert translator.translate_feedback(changed).item.feedback_id
        elif kind is RowKind.CONTEXT:
            translator.add_context(changed)
    except BadInput as error:
        refused = error
    assert refused is None or refused.field


@pytest.mark.parametrize(("name", "row"), SAMPLES, ids=range(len(SAMPLES)))
def test_a_row_is_recognised_as_of_its_product_alone(name: str, row: dict[str, Any]) -> None:
    assert [each for each, found in FORMATS.items() if found.row_kind(row) and each != "portkey"] == [name]
