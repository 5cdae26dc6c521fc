from __future__ import annotations

import pytest

from gateway.api.native.requests import RequestListParams
from gateway.errors import BadInput
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op


def search(*pairs: tuple[str, str]) -> Filter:
    return RequestListParams.parse(pairs).where()


def test_no_parameters_find_everything_fifty_at_a_time() -> None:
    params = RequestListParams.parse([])
    assert (params.where(), params.limit, params.cursor) == (AllOf(), 50, None)


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01t00:00:00.000001z", 1),
        ("1970-01-01T02:00:00+02:00", 0),
        ("2024-02-29T12:00:00.5-01:30", 1_709_213_400_500_000),
        ("1709213400500000", 1_709_213_400_500_000),
    ],
)
def test_times_are_rfc_3339_or_microseconds(text: str, us: int) -> None:
    assert search(("from", text)) == AllOf((Comparison("started_at_us", Op.GE, us),))
    assert search(("to", text)) == AllOf((Comparison("started_at_us", Op.LT, us),))


@pytest.mark.parametrize(
    "text",
    [
        "2024-2-29",
        "2024-02-30",
        "2024-02-29T12:00:00",
        "2024",
        "20240229",
        "1709213400",
        "1709213400500",
        "7 d",
        "-7d",
        "7y",
        "tuesday",
        "2023-02-29T12:00:00Z",
        "2024-02-29T12:00:00 02:00",
        "-1",
        "9" * 30,
    ],
)
def test_a_time_that_is_neither_is_refused_with_both_forms_named(text: str) -> None:
    with pytest.raises(BadInput, match=r"RFC 3339.*microseconds") as refusal:
        search(("from", text))
    assert refusal.value.field == "from"


def test_a_status_class_is_a_range() -> None:
    assert search(("status", "4xx")) == AllOf(
        (AllOf((Comparison("status", Op.GE, 400), Comparison("status", Op.LT, 500))),)
    )
    assert search(("status", "404")) == AllOf((Comparison("status", Op.EQ, 404),))


def test_metadata_that_reads_as_a_number_or_boolean_may_be_that_or_text() -> None:
    def alternatives(text: str) -> object:
        return search(("metadata.n", text))

    assert alternatives("v2") == AllOf((Comparison("metadata.n", Op.EQ, "v2"),))
    assert alternatives("2") == AllOf(
        (AnyOf((Comparison("metadata.n", Op.EQ, "2"), Comparison("metadata.n", Op.EQ, 2))),)
    )
    assert alternatives("true") == AllOf(
        (AnyOf((Comparison("metadata.n", Op.EQ, "true"), Comparison("metadata.n", Op.EQ, True))),)
    )
    assert alternatives("null") == AllOf((Comparison("metadata.n", Op.EQ, "null"),))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 30, "9" * 5000, "[" * 5000])
def test_metadata_that_no_column_can_hold_as_a_number_is_text(text: str) -> None:
    assert search(("metadata.n", text)) == AllOf((Comparison("metadata.n", Op.EQ, text),))


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("limit", "0", "1 to 500"),
        ("limit", "501", "1 to 500"),
        ("limit", "٣", "1 to 500"),
        ("limit", "1e2", "1 to 500"),
        ("cursor", "x", "next_cursor"),
        ("cursor", str(2**63), "next_cursor"),
        ("cursor", "9" * 5000, "next_cursor"),
        ("status", "6xx", "4xx"),
        ("status", "20", "200"),
        ("outcome", "fine", "client_closed"),
        ("client_retry", "once", "whole number"),
        ("model", "", "no value"),
        ("colour", "red", "request_id, trace_id, key_name, provider"),
        ("metadata.", "x", "metadata.KEY"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_allowed(name: str, text: str, allowed: str) -> None:
    with pytest.raises(BadInput) as refusal:
        search((name, text))
    assert refusal.value.field == name
    assert allowed in str(refusal.value)


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="twice"):
        search(("user", "a"), ("user", "b"))


def test_each_documented_parameter_is_taken() -> None:
    samples = {
        "status": "200", "outcome": "complete", "from": "1", "to": "1", "limit": "1", "cursor": "1",
        "judged": "true", "has_feedback": "true", "min_score": "0", "max_score": "0.5", "rating": "bad",
        "format": "csv", "client_retry": "0", "attempt": "0", "is_stream": "true", "has_usage": "false",
        "reviewed": "true",
    }  # fmt: skip
    for parameter in RequestListParams.parameters():
        search((parameter.name, samples.get(parameter.name, "x")))
