"""What Portkey's filters do not take: each a complaint that names the filter, wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api.portkey.filters import ExportFilters, RequestFilters
from gateway.errors import BadInput

WHOLE = "must be a whole number; got"
NAMES = "must be a string of up to 1,000 names separated by commas; got"

BAD: dict[str, list[tuple[object, str]]] = {
    **{
        name: [
            (5, "(in URLs, + is sent as %2B), a date or an age such as 7d; got 5."),
            ("tuesday", "must be a time"),
            ("2025-13-01T00:00:00Z", "must be a time"),
        ]
        for name in ("time_of_generation_min", "time_of_generation_max")
    },
    **{
        f"{name}_{bound}": [
            (-1, "must be a number from 0 to 1,000,000,000,000,000; got -1."),
            ("many", "must be a number"),
            (True, "must be a number"),
            ([], "must be a number"),
            (1.5, f"{WHOLE} 1.5."),
            ("1.5", f'{WHOLE} "1.5".'),
            (1e300, "must be a number"),
        ]
        for name in ("total_units", "prompt_token", "completion_token")
        for bound in ("min", "max")
    },
    **{
        name: [
            (-0.1, "must be a number from 0 to 100,000,000,000; got -0.1."),
            ("1e5", "must be a number"),
            ({}, "must be a number"),
        ]
        for name in ("cost_min", "cost_max")
    },
    **{
        name: [
            (10.1, "must be a number from -10 to 10; got 10.1."),
            (-11, "must be a number"),
            ("", "must be a number"),
        ]
        for name in ("weighted_feedback_min", "weighted_feedback_max")
    },
    **{
        name: [(5, f"{NAMES} 5."), ("", f'{NAMES} "".'), ("a,,b", NAMES), (["a"], NAMES), ("a," * 1001, NAMES)]
        for name in (
            "ai_model", "virtual_keys", "api_key_ids", "trace_id", "span_id", "prompt_slug", "configs",
            "workspace_slug",
        )
    },
    "status_code": [
        ("2xx", 'must be statuses separated by commas, such as 401,403; got "2xx".'),
        ("200,", NAMES),
        (600, "must be statuses"),
        (True, NAMES),
    ],
    "ai_org_model": [
        ("gpt-4o", 'must be such as openai__gpt-4o,anthropic__claude-3; got "gpt-4o".'),
        ("openai__", "must be such as"),
        ("__gpt-4o", "must be such as"),
        ("openai__gpt-4o,gpt-5", "must be such as"),
        (5, NAMES),
    ],
    "metadata": [
        ("a", 'must be an object, or a string that holds one as JSON; got "a".'),
        ("[1]", "must be an object"),
        (5, "must be an object"),
        ({"k": None}, "holds null under 'k', where only texts and numbers can be found."),
        ({"k": {}}, "holds an object under 'k'"),
    ],
}  # fmt: skip


CASES = [(name, value, problem) for name, cases in BAD.items() for value, problem in cases]


@pytest.mark.parametrize(("name", "value", "problem"), CASES)
def test_a_value_that_means_nothing_is_refused_by_name(name: str, value: object, problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        ExportFilters.of({name: value}, "filters")
    assert refused.value.field == f"filters.{name}"
    assert problem in str(refused.value)


def test_metadata_of_more_keys_than_a_filter_has_conditions_is_refused() -> None:
    with pytest.raises(BadInput, match="may name 500 keys; got 501"):
        ExportFilters.of({"metadata": {f"k{n}": "v" for n in range(501)}}, "filters")


def test_every_filter_is_tried_with_what_means_nothing() -> None:
    assert set(BAD) == set(RequestFilters.model_fields)


def test_a_name_that_is_not_known_is_refused_and_those_known_are_listed() -> None:
    with pytest.raises(
        BadInput, match=r"filters\.ai_modle: is not a known filter\. Allowed: time_of.*, ai_model, "
    ):
        ExportFilters.of({"ai_modle": None}, "filters")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"page_size": 0}, "filters.page_size: must be a number from 1 to 50,000; got 0."),
        ({"page_size": 50_001}, "filters.page_size: must be a number from 1 to 50,000"),
        ({"page_size": "1.5"}, "filters.page_size: must be a whole number"),
        ({"current_page": -1}, "filters.current_page: must be a number from 0"),
        ({"current_page": [1]}, "filters.current_page: must be a number"),
    ],
)
def test_a_page_that_is_none_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        ExportFilters.of(given, "filters")
    assert str(refused.value).startswith(problem)
