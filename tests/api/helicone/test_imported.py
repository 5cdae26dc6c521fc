"""Rows of Helicone's log: what each tells, and what is wrong with those that cannot be taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.helicone.feedback import score_feedback
from gateway.api.helicone.imported import ImportedHeliconeRow, is_helicone_row, to_imported_request
from gateway.errors import BadInput
from gateway.feedback.identifiers import feedback_key_id
from gateway.feedback.payloads import thumb_feedback
from gateway.feedback.rules import upsert
from gateway.feedback.service import FeedbackService
from gateway.models.principal import Principal
from gateway.models.request import ImportedRequest
from gateway.store.base import Store
from tests.api.imported_cases import ANY_JSON, Case, cases_in, told, tried

IMPORTER = Principal("import", frozenset(), tenant="north")
TIME = {"request_created_at": "2024-05-22T15:18:54Z"}


def read(**fields: object) -> ImportedRequest:
    return to_imported_request({**TIME, **fields}, IMPORTER)


@pytest.mark.parametrize("case", cases_in(Path(__file__).parent), ids=str)
def test_a_row_tells_what_is_expected(case: Case) -> None:
    assert is_helicone_row(case.row)
    assert told(to_imported_request(case.row, IMPORTER)) == case.expected


BAD = {
    "request_created_at: is missing.": {"request_created_at": None},
    "request_created_at: must be a time such as": {"request_created_at": 1716391134},
    'response_created_at: must be a time such as 2026-01-31T09:30:00.123Z; got "soon".': {
        "response_created_at": "soon"
    },
    "request_id: must be a printable string of 1 to 512 bytes": {"request_id": "a\nb"},
    "response_status: input should be a valid integer": {"response_status": "ok"},
    "delay_ms: input should be greater than or equal to 0; got -1.": {"delay_ms": -1},
    "prompt_tokens: input should be a valid integer": {"prompt_tokens": 1.5},
    "costUSD: input should be a valid decimal": {"costUSD": "cheap"},
    "cost: input should be a finite number": {"cost": "Infinity"},
    "provider: input should be a valid string": {"provider": {}},
    "properties: must be an object, or a string that holds one as JSON; got an array.": {"properties": []},
    "feedback_rating: input should be a valid boolean": {"feedback_rating": "up"},
    "scores: must be an object; got 5.": {"scores": 5},
    'scores.a: must be a number, true or false; got "high".': {"scores": {"a": "high"}},
    "scores.a: must be a number, true or false; got an object.": {"scores": {"a": {}}},
}


@pytest.mark.parametrize(("message", "fields"), BAD.items(), ids=range(len(BAD)))
def test_a_row_with_a_bad_field_is_refused_by_its_name(message: str, fields: dict[str, object]) -> None:
    with pytest.raises(BadInput) as refused:
        read(**fields)
    assert str(refused.value).startswith(message)


def test_a_row_without_an_id_has_the_same_one_each_time() -> None:
    first, again, other = read(a=1, b=[2]), read(b=[2], a=1), read(a=1, b=[3])

    assert first.exchange.identity.request_id == again.exchange.identity.request_id
    assert first.exchange.identity.request_id != other.exchange.identity.request_id


@pytest.mark.parametrize(
    ("dollars", "nano"),
    [(0.000000001, 1), (0.1, 100_000_000), (1.5e-9, 2), ("0.00125", 1_250_000), (12, 12_000_000_000)],
)
def test_a_cost_is_exact_to_the_nano_dollar(dollars: object, nano: int) -> None:
    cost = read(costUSD=dollars).facts.cost
    assert cost is not None
    assert cost.nanousd == nano


@pytest.mark.parametrize(
    ("delay_ms", "response", "ended_at_us"),
    [
        (None, None, 0),
        (None, "15:18:55.5", 1_500_000),
        (None, "15:18:50", 0),
        (500, None, 500_000),
        (0.5, None, 500),
        (500, "15:18:54.500999", 500_999),
        (500, "15:18:54.501", 500_000),
        (500, "15:18:54.499999", 500_000),
        (500, "15:20:00", 500_000),
    ],
)
def test_latency_says_when_a_response_ended_to_the_millisecond(
    delay_ms: float | None, response: str | None, ended_at_us: int
) -> None:
    at = response and f"2024-05-22T{response}Z"
    exchange = read(delay_ms=delay_ms, response_created_at=at).exchange
    assert exchange.ended_at_us - exchange.started_at_us == ended_at_us


def test_a_session_that_is_no_id_is_only_a_property() -> None:
    identity = read(request_id="r", properties={"Helicone-Session-Id": "a\tb", "n": 5}).exchange.identity

    assert (identity.trace_id, identity.metadata) == ("r", {"Helicone-Session-Id": "a\tb", "n": 5})


async def test_feedback_becomes_the_entries_that_giving_it_would_have_made(store: Store) -> None:
    past = read(
        request_id="r", feedback_rating=True, scores={"a": 0.5, "b": {"value": 1, "valueType": "boolean"}}
    )
    await store.append([past.exchange])
    votes = [
        thumb_feedback("r", is_up=True, raw="{}"),
        score_feedback("r", "a", 0.5),
        score_feedback("r", "b", True),
    ]

    given = await FeedbackService(store).give(votes, IMPORTER, dialect="helicone", rule=upsert)

    def content(entry: Any) -> tuple[object, ...]:
        return (
            entry.feedback_id,
            entry.kind,
            entry.metric,
            entry.value,
            entry.score,
            entry.source,
            entry.tenant,
        )

    assert list(map(content, past.feedback)) == list(map(content, given))
    assert past.feedback[0].feedback_id == feedback_key_id("north", ("r", "r"), None, "rating")


FIELDS = set(ImportedHeliconeRow.model_fields) - set(TIME)
ROWS = st.dictionaries(st.sampled_from([*FIELDS, *TIME, "other"]), ANY_JSON) | st.fixed_dictionaries(
    {"request_created_at": st.datetimes().map(str)}, optional=dict.fromkeys(FIELDS, ANY_JSON)
)


@given(row=ROWS)
def test_any_row_is_taken_or_refused_by_the_name_of_a_field(row: dict[str, Any]) -> None:
    (past, refused), (again, _) = (
        tried(row, lambda row: to_imported_request(row, IMPORTER)) for _ in range(2)
    )

    assert past == again
    assert past or (refused and refused.field)
    assert past is None or past.exchange.ended_at_us >= past.exchange.started_at_us >= 0
