"""Criteria as flags: what they mean together, and what is refused."""

from __future__ import annotations

import click
import pytest

from gateway.cli.criteria import filter_of, given_format
from gateway.domain.filter import All, Is, Joined, Op
from gateway.errors import BadInput
from gateway.query.search import FEEDBACK, REQUESTS


def test_flags_and_where_are_one_question() -> None:
    asked = filter_of(
        REQUESTS, {"by_user": "ann", "by_status": None}, ("metadata.a.b=c=d", "feedback.metadata.p=x")
    )
    assert asked == All(
        (Is("user", Op.EQ, "ann"), Is("metadata.a.b", Op.EQ, "c=d"), Joined(Is("metadata.p", Op.EQ, "x")))
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
        filter_of(FEEDBACK, options, where)


@pytest.mark.parametrize("text", ["page", "=x", ""])
def test_a_where_without_a_name_or_a_value_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not NAME=VALUE"):
        filter_of(FEEDBACK, {}, (text,))


def test_output_has_one_format() -> None:
    assert [given_format(*flags) for flags in ((False, False), (True, False), (False, True))] == [
        "table",
        "json",
        "csv",
    ]
    with pytest.raises(click.UsageError, match="exclude each other"):
        given_format(is_json=True, is_csv=True)
