"""The values that the page compares stand in one field, those with a comma in quotes."""

from __future__ import annotations

import pytest

from gateway.errors import BadInput
from gateway.ui.compare import read_names, write_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("a", ["a"]),
        (" a, b ,", ["a", "b"]),
        ('"a, b",c', ["a, b", "c"]),
        ('5" disk', ['5" disk']),
        ('"say ""hi"", then",b', ['say "hi", then', "b"]),
    ],
)
def test_a_value_in_quotes_may_have_commas(text: str, names: list[str]) -> None:
    assert read_names(text) == names
    assert read_names(write_names(names)) == names


@pytest.mark.parametrize("text", ['"a, b', '"a"b'])
def test_a_quote_without_an_end_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="has a quote"):
        read_names(text)
