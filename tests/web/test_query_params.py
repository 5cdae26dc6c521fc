"""What a query string may look like."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ConfigDict, Field

from gateway.errors import BadInput
from gateway.web.query_params import (
    DIGITS,
    Boolean,
    Parameter,
    QueryParams,
    one_of,
    parsed_by,
    refuse_unknown_params,
    unique_params,
)


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
    with pytest.raises(BadInput, match="This endpoint takes none"):
        refuse_unknown_params(["c"], [])


class ListParams(QueryParams):
    limit: Annotated[int, Field(ge=1, le=500, description="Most items."), DIGITS] = 50
    order: Annotated[str, one_of(["name", "-name"])] | None = None
    texts: Boolean = False
    from_us: Annotated[int | None, parsed_by(int, type="string", format="date-time")] = Field(
        None, alias="from", description="Start."
    )


class RequiredParams(QueryParams):
    author: str


class LenientParams(QueryParams):
    model_config = ConfigDict(extra="ignore")

    page: Annotated[int, Field(ge=0), DIGITS] = 0


def test_parameters_become_values_of_their_types() -> None:
    params = ListParams.parse([("limit", "7"), ("order", "-name"), ("texts", "true"), ("from", "12")])
    assert (params.limit, params.order, params.texts, params.from_us) == (7, "-name", True, 12)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("limit", "0", "must be a whole number from 1 to 500; got 0."),
        ("limit", "501", "from 1 to 500"),
        ("limit", "1_0", "from 1 to 500"),
        ("limit", " 1", "from 1 to 500"),
        ("limit", "", "has no value"),
        ("order", "age", 'must be one of name, -name; got "age".'),
        ("texts", "yes", 'must be true or false; got "yes".'),
        ("from", "noon", "invalid literal"),
        ("from_us", "1", "is not a query parameter here. Allowed: limit, order, texts, from."),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(name: str, text: str, problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        ListParams.parse([(name, text)])
    assert refused.value.field == name
    assert problem in str(refused.value)


def test_a_required_parameter_must_be_given() -> None:
    with pytest.raises(BadInput, match=r"author: is missing\."):
        RequiredParams.parse([])


def test_lenient_parameters_ignore_other_names_and_repeated_values() -> None:
    assert LenientParams.parse([("page", "1"), ("page", "2"), ("other", "x"), ("empty", "")]).page == 1


def test_values_of_a_body_are_named_by_their_path() -> None:
    with pytest.raises(BadInput) as refused:
        ListParams.read({"limit": 0}, "filters")
    assert refused.value.field == "filters.limit"


def test_the_documentation_has_no_null_and_no_title() -> None:
    bounds = {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
    limit, order, texts, start = ListParams.parameters()
    assert limit == Parameter("limit", "Most items.", bounds)
    assert order == Parameter("order", "", {"type": "string", "enum": ["name", "-name"]})
    assert texts == Parameter("texts", "", {"type": "boolean", "default": False})
    assert start == Parameter("from", "Start.", {"type": "string", "format": "date-time"})
    assert [parameter.is_required for parameter in RequiredParams.parameters()] == [True]
