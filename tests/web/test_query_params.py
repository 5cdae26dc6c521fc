"""What a query string may look like."""

from __future__ import annotations

import pytest

from gateway.errors import BadInput
from gateway.web.query_params import refuse_unknown_params, unique_params


def test_pairs_are_read_by_name() -> None:
    assert unique_params([("a", "1"), ("b", "2")]) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [([("a", "1"), ("a", "1")], "a: is given twice"), ([("a", "")], "a: has no value")],
)
def test_what_is_given_twice_or_without_a_value_is_refused(
    pairs: list[tuple[str, str]], complaint: str
) -> None:
    with pytest.raises(BadInput, match=complaint):
        unique_params(pairs)


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    refuse_unknown_params(["a"], ["a", "b"])
    with pytest.raises(BadInput, match=r"c: is not a query parameter here\. Allowed: a, b\."):
        refuse_unknown_params(["c"], ["a", "b"])
    with pytest.raises(BadInput, match="None is taken here"):
        refuse_unknown_params(["c"], [])
