"""Criteria as flags: what they mean together, and what is refused."""

from __future__ import annotations

import click
import pytest

from gateway.cli.filters import output_format, parse_filter
from gateway.errors import BadInput
from gateway.models.filters import AllOf, Comparison, FeedbackFilter, Op
from gateway.query.filters import FEEDBACK_FILTERS, REQUEST_FILTERS


def test_flags_and_where_are_one_question() -> None:
    asked = parse_filter(
        REQUEST_FILTERS, {"by_user": "ann", "by_status": None}, ("metadata.a.b=c=d", "feedback.metadata.p=x")
    )
    assert asked == AllOf(
        (
            Comparison("user", Op.EQ, "ann"),
            Comparison("metadata.a.b", Op.EQ, "c=d"),
            FeedbackFilter(Comparison("metadata.p", Op.EQ, "x")),
        )
    )


@pytest.mark.parametrize(
    ("options", "where", "told"),
    [
        ({}, ("colour=red",), "feedback.metadata.KEY"),
        ({}, ("metadata.=red",), "metadata.KEY"),
        ({"by_author": "b"}, ("author=a",), "is given twice"),
        ({}, ("author=",), "has no value"),
        ({}, ("metadata.a=b", "metadata.a=c"), "is given twice"),
        ({"by_from": "tuesday"}, (), "must be a time: RFC 3339"),
        ({"by_rating": "5"}, (), "must be one of good, bad, neutral"),
        ({"by_max_score": "low"}, (), "must be a number"),
        ({"by_is_joined": "yes"}, (), "must be true or false"),
    ],
)
def test_what_means_nothing_is_refused_by_name(
    options: dict[str, str | None], where: tuple[str, ...], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        parse_filter(FEEDBACK_FILTERS, options, where)


@pytest.mark.parametrize("text", ["page", "=x", ""])
def test_a_where_without_a_name_or_a_value_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not NAME=VALUE"):
        parse_filter(FEEDBACK_FILTERS, {}, (text,))


def test_output_has_one_format() -> None:
    assert [output_format(*flags) for flags in ((False, False), (True, False), (False, True))] == [
        "table",
        "json",
        "csv",
    ]
    with pytest.raises(click.UsageError, match="exclude each other"):
        output_format(is_json=True, is_csv=True)
