"""What is said of a body or a query that is wrong: the words of pydantic 1, which is asked here for comparison."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from pydantic import v1

from .served import Served


class Older(v1.BaseModel):
    """The same demands as those of this dialect, made of pydantic 1."""

    trace_id: v1.constr(strict=True, min_length=1, max_length=512)  # type: ignore[valid-type]
    feedback: dict[str, Any]
    app_id: v1.constr(strict=True, min_length=1, max_length=512) | None  # type: ignore[valid-type]


class OlderQuery(v1.BaseModel):
    """As `Older`, for the parameters of a search."""

    feedback_id: UUID | None
    start_time: datetime | None
    limit: int = v1.Field(1, ge=1, le=10_000)

    class Config:
        extra = "forbid"


def findings(model: type[v1.BaseModel], place: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """What pydantic 1 finds wrong, as FastAPI shows it."""
    with pytest.raises(v1.ValidationError) as caught:
        model(**given)
    return [
        {"loc": [place, *error["loc"]], "msg": error["msg"], "type": error["type"]}
        for error in caught.value.errors()
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"trace_id": None, "feedback": None},
        {"trace_id": 5, "feedback": [1]},
        {"trace_id": "", "feedback": "x", "app_id": 1.5},
        {"trace_id": "x" * 513, "feedback": {}, "app_id": ""},
        {"feedback": 1, "app_id": ["a"]},
    ],
)
async def test_messages_and_types_are_those_of_pydantic_1(served: Served, body: dict[str, Any]) -> None:
    reply = await served.call("POST", "", body)

    assert reply.status_code == 422
    assert reply.json()["detail"] == findings(Older, "body", body)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "10001"},
        {"limit": "many"},
        {"limit": ""},
        {"feedback_id": "abc"},
        {"colour": "red"},
        {"limit": "1.5", "feedback_id": "5"},
    ],
)
async def test_messages_and_types_of_parameters_are_those_of_pydantic_1(
    served: Served, query: dict[str, Any]
) -> None:
    reply = await served.call("GET", f"?{urlencode(query)}", by="admin")

    assert reply.status_code == 422
    by_place = {str(each["loc"]): each for each in reply.json()["detail"]}
    assert by_place == {str(each["loc"]): each for each in findings(OlderQuery, "query", query)}


async def test_a_time_that_is_none_is_called_so_with_what_would_be_one(served: Served) -> None:
    reply = await served.call("GET", "?start_time=yesterday", by="admin")

    [detail] = reply.json()["detail"]
    [older] = findings(OlderQuery, "query", {"start_time": "yesterday"})
    assert (detail["loc"], detail["type"]) == (older["loc"], older["type"])
    assert detail["msg"].startswith(older["msg"])


async def test_a_field_that_is_missing_is_told_as_the_document_prints_it(served: Served) -> None:
    reply = await served.call("POST", "", {"feedback": {}})

    assert reply.status_code == 422
    assert reply.json() == {
        "detail": [{"loc": ["body", "trace_id"], "msg": "field required", "type": "value_error.missing"}]
    }
