"""What is said of an id that names several things."""

from __future__ import annotations

import pytest

from gateway.errors import Ambiguous, Conflict
from gateway.models.feedback import Subject, single_subject


def request(
    trace_id: str, request_id: str = "r", *, tenant: str | None = None, response_id: str = ""
) -> Subject:
    return Subject(tenant, trace_id, request_id, response_id or None, 1)


def refusal(*subjects: Subject, field: str | None = None) -> Ambiguous:
    with pytest.raises(Ambiguous) as refused:
        single_subject("x", subjects, field=field)
    return refused.value


def test_an_id_of_one_thing_names_it_and_one_of_nothing_names_nothing() -> None:
    one = request("t")
    assert single_subject("x", [one]) is one
    assert single_subject("x", []) is None


def test_the_requests_that_share_an_id_are_told_by_their_other_ids() -> None:
    refused = refusal(request("t2", response_id="chatcmpl-2"), request("t1"), field="[3].trace_id")
    assert isinstance(refused, Conflict)
    assert str(refused) == (
        "[3].trace_id: 'x' names several requests, the newest first: request 'r' in trace 't2', response "
        "'chatcmpl-2'; request 'r' in trace 't1'. Name one by an id that only it has."
    )
    assert refused.candidates == [
        {"trace_id": "t2", "request_id": "r", "response_id": "chatcmpl-2", "tenant": None, "row": 1},
        {"trace_id": "t1", "request_id": "r", "response_id": None, "tenant": None, "row": 1},
    ]


def test_tenants_are_told_where_they_are_the_difference() -> None:
    shared = str(refusal(request("t", tenant="north"), request("t")))
    assert "in trace 't' of tenant 'north'; request 'r' in trace 't' of no tenant." in shared
    same = str(refusal(request("t1", tenant="north"), request("t2", tenant="north")))
    assert "north" not in same


def test_the_tenants_that_share_a_trace_are_told() -> None:
    traces = [Subject(tenant, "x", None, None, 1) for tenant in ("north", None, "south")]
    refused = refusal(*traces)
    assert "traces of several tenants, the newest first: tenant 'north', no tenant, tenant 'south'." in str(
        refused
    )
    assert [candidate["tenant"] for candidate in refused.candidates] == ["north", None, "south"]
