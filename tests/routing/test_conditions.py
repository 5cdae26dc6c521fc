"""What conditions answer, as JavaScript would."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.models.route import ConditionContext
from gateway.routing.conditions import compile_query, query_warnings

CONTEXT = ConditionContext(
    {"plan": "free", "n": 5, "text": "12abc", "flag": True, "none": None, "big": "1e3", "lines": "12\n"},
    {"model": "gpt-4o", "temperature": 0.5, "stream": True, "stop": ["a"]},
    "/v1/chat/completions",
)


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ({}, True),
        ({"metadata.plan": "free"}, True),
        ({"metadata.plan": {"$eq": "paid"}}, False),
        ({"metadata.plan": {"$ne": "paid"}}, True),
        # Strict: a text is no number, and true is not 1.
        ({"metadata.n": 5}, True),
        ({"metadata.n": 5.0}, True),
        ({"metadata.n": "5"}, False),
        ({"metadata.flag": 1}, False),
        ({"metadata.flag": True}, True),
        ({"metadata.none": None}, True),
        # A key that is not there equals nothing.
        ({"metadata.absent": None}, False),
        ({"metadata.absent": {"$ne": 1}}, True),
        ({"metadata.absent": {"$nin": [1]}}, True),
        ({"metadata.absent": {"$in": [None]}}, False),
        ({"metadata.absent": {"$gt": 0}}, False),
        ({"metadata.absent": {"$regex": "undefined"}}, False),
        ({"metadata.n": {"$in": [1, 5]}}, True),
        ({"metadata.n": {"$nin": ["5"]}}, True),
        # Both sides are read as numbers as far as they are ones.
        ({"metadata.n": {"$gt": "4.5"}}, True),
        ({"metadata.text": {"$gte": 12}}, True),
        ({"metadata.big": {"$lt": 1001, "$lte": 1000}}, True),
        ({"metadata.plan": {"$lt": 1}}, False),
        ({"metadata.n": {"$gt": "x"}}, False),
        ({"params.temperature": {"$gt": 0.4, "$lt": 0.6}}, True),
        ({"params.temperature": {"$gt": 0.4, "$lt": 0.5}}, False),
        ({"params.model": {"$regex": "^gpt"}}, True),
        ({"params.model": {"$regex": "4O"}}, False),
        ({"params.model": {"$regex": "("}}, False),
        ({"metadata.n": {"$regex": "^5$"}}, True),
        ({"metadata.lines": {"$regex": r"^\d+$"}}, False),
        ({"metadata.lines": {"$regex": r"^[$\d]+\n$"}}, True),
        ({"params.model": {"$regex": "^gpt", "$eq": "other"}}, False),
        ({"url.pathname": "/v1/chat/completions"}, True),
        # Only two parts of a key are looked at.
        ({"params.model.name": "gpt-4o"}, True),
        ({"$and": [{"metadata.plan": "free"}, {"params.stream": True}]}, True),
        ({"$and": []}, True),
        ({"$or": []}, False),
        ({"$or": [{"metadata.plan": "paid"}, {"params.model": "gpt-4o"}]}, True),
        # Keys beside $or apply too.
        ({"$or": [{"params.model": "gpt-4o"}], "metadata.plan": "paid"}, False),
        ({"params.stop": ["a"]}, False),
    ],
)
def test_a_query_holds_as_in_portkey(query: dict[str, Any], holds: bool) -> None:
    assert compile_query(query, "query")(CONTEXT) is holds


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"metadata.a": {"$foo": 1}}, "query.metadata.a.$foo: is no operator."),
        ({"team": 1}, "query.team: is nothing that a condition can ask for. Write metadata.KEY"),
        ({"url.host": "x"}, "query.url.host: of the URL only url.pathname can be asked for."),
        ({"$or": {"a": 1}}, "query.$or: must be a list of queries."),
        ({"$and": [{"params.a": {"$in": 1}}]}, "query.$and[0].params.a.$in: must be a list."),
    ],
)
def test_a_query_that_nothing_can_answer_is_refused_by_its_path(query: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        compile_query(query, "query")
    assert str(caught.value).startswith(fault)


def test_what_portkey_would_answer_differently_is_pointed_out() -> None:
    query = {
        "$or": [{"metadata.a.b": {"$regex": "(", "$eq": 1}}],
        "metadata.n": {"$gt": "x"},
    }
    assert [
        (each.field, each.message.split(":")[0].split(";")[0]) for each in query_warnings(query, "q")
    ] == [
        ("q.$or", "all keys apply here"),
        ("q.$or[0].metadata.a.b", "only metadata.a is looked at"),
        ("q.$or[0].metadata.a.b.$regex", "all operators apply here"),
        ("q.$or[0].metadata.a.b.$regex", "is not a usable pattern, so it never matches."),
        ("q.metadata.n.$gt", "is not a number, so it never holds."),
    ]
