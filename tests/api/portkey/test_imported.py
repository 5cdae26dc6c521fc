"""Lines of Portkey's exports: what each tells, and what is wrong with those that cannot be taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.portkey.imported import ImportedPortkeyRow, is_portkey_row, to_imported_request
from gateway.errors import BadInput
from gateway.feedback.payloads import signed_scale, thumb_scale
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.principal import Principal
from gateway.models.request import ImportedRequest
from gateway.store.base import Store
from tests.api.imported_cases import ANY_JSON, Case, cases_in, told, tried

IMPORTER = Principal("import", frozenset(), tenant="north")
TIME = {"created_at": "2024-05-22T15:18:54Z"}


def read(**fields: object) -> ImportedRequest:
    return to_imported_request({**TIME, **fields}, IMPORTER, signed_scale)


@pytest.mark.parametrize("case", cases_in(Path(__file__).parent), ids=str)
def test_a_line_tells_what_is_expected(case: Case) -> None:
    assert is_portkey_row(case.row)
    assert told(to_imported_request(case.row, IMPORTER, signed_scale)) == case.expected


BAD = {
    "created_at: is missing.": {"created_at": ""},
    'created_at: must be a time such as 2026-01-31T09:30:00.123Z; got "yesterday".': {"created_at": "yesterday"},
    "id: must be a printable string of 1 to 512 bytes; got 5.": {"id": 5},
    "trace_id: must be a printable string": {"trace_id": "x" * 513},
    "is_success: input should be a valid boolean": {"is_success": "perhaps"},
    "req_units: input should be a valid integer": {"req_units": "many"},
    "cost: input should be greater than or equal to 0": {"cost": -0.1},
    "cost_currency: input should be 'USD'; got \"EUR\".": {"cost_currency": "EUR"},
    "response_time: input should be a valid number": {"response_time": "slow"},
    "response_status_code: input should be less than or equal to 999": {"response_status_code": 5000},
    "metadata: must be an object, or a string that holds one as JSON; got an array.": {"metadata": []},
    'metadata: must be an object, or a string that holds one as JSON; got "{".': {"metadata": "{"},
    "portkeyHeaders: must be an object; got an array.": {"portkeyHeaders": [1]},
    "feedback[0]: must be an object; got 5.": {"feedback": [5]},
    "feedback[1].value: must be an integer from -10 to 10; got 11.": {"feedback": [{"value": 1}, {"value": 11}]},
    "feedback: must be an array of 1 to 1,000 entries; got 1,001.": {"feedback": [{"value": 1}] * 1001},
    "feedback[0].created_at: must be a time": {"feedback": {"value": 1, "created_at": 0}},
}  # fmt: skip


@pytest.mark.parametrize(("message", "fields"), BAD.items(), ids=range(len(BAD)))
def test_a_line_with_a_bad_field_is_refused_by_its_name(message: str, fields: dict[str, object]) -> None:
    with pytest.raises(BadInput) as refused:
        read(**fields)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("field", ["request", "response", "portkeyHeaders"])
def test_what_is_nested_too_deeply_to_be_written_is_refused(field: str) -> None:
    deep: object = "x"
    for _ in range(300):
        deep = [deep]

    with pytest.raises(BadInput, match="nested too deeply"):
        read(id="r", **{field: {"a": deep}})


def test_a_line_without_an_id_has_the_same_one_each_time() -> None:
    first, again, other = read(a=1, b=[2]), read(b=[2], a=1), read(a=1, b=[3])

    assert first.exchange.identity.request_id == again.exchange.identity.request_id
    assert first.exchange.identity.request_id != other.exchange.identity.request_id


@pytest.mark.parametrize(
    ("cents", "nano"), [(0.0000001, 1), (0.3194, 3_194_000), (100, 1_000_000_000), ("1.5e-7", 2)]
)
def test_a_cost_in_cents_is_exact_to_the_nano_dollar(cents: object, nano: int) -> None:
    cost = read(cost=cents).facts.cost
    assert cost is not None
    assert cost.nanousd == nano


async def test_secrets_in_headers_do_not_reach_the_store(store: Store) -> None:
    past = to_imported_request(
        next(case for case in cases_in(Path(__file__).parent) if str(case) == "whole_messages").row,
        IMPORTER,
        signed_scale,
    )
    assert await store.append_missing([(past.exchange, past.facts)], 1) == 1

    [record] = await store.find_requests(NO_FILTER, Sort(), Page(), None)
    payload = await store.payload(record.seq)
    assert payload is not None
    assert b"secret" not in b"".join(value for _, value in payload.request_headers)
    assert (b"x-portkey-span-id", b"span-1") in payload.request_headers


def test_entries_of_feedback_that_say_the_same_are_several() -> None:
    first, second = read(id="r", feedback=[{"value": 1}, {"value": 1}]).feedback
    again, _ = read(id="r", feedback=[{"value": 1}, {"value": 1}]).feedback

    assert first.feedback_id != second.feedback_id
    assert first.feedback_id == again.feedback_id


def test_feedback_is_scored_on_the_scale_that_is_configured() -> None:
    row = {**TIME, "id": "r", "feedback": {"value": 1}}

    assert read(id="r", feedback={"value": 1}).feedback[0].score == 0.1
    assert to_imported_request(row, IMPORTER, thumb_scale).feedback[0].score == 1


FIELDS = {str(name) for name in ImportedPortkeyRow.model_fields} - set(TIME)
ROWS = st.dictionaries(st.sampled_from([*FIELDS, *TIME, "request.body", "metadata.key"]), ANY_JSON) | (
    st.fixed_dictionaries({"created_at": st.datetimes().map(str)}, optional=dict.fromkeys(FIELDS, ANY_JSON))
)


@given(row=ROWS)
def test_any_line_is_taken_or_refused_by_the_name_of_a_field(row: dict[str, Any]) -> None:
    (past, refused), (again, _) = (
        tried(row, lambda row: to_imported_request(row, IMPORTER, signed_scale)) for _ in range(2)
    )

    assert past == again
    assert past or (refused and refused.field)
    assert past is None or past.exchange.ended_at_us >= past.exchange.started_at_us >= 0
