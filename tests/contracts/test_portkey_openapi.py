"""What Portkey's OpenAPI document says of /feedback and /feedback/{id}, asked of the gateway.

Source: schemas FeedbackRequest, FeedbackUpdateRequest and FeedbackResponse of
https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.gateway_process import RunningGateway

REPLY_FIELDS = {"status", "message", "feedback_ids"}


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A client whose paths begin where the document's server does."""
    headers = {"x-portkey-api-key": GATEWAY_KEY}
    with httpx.Client(base_url=f"{gateway.url}/v1", headers=headers) as client:
        yield client


def create(http: httpx.Client, **fields: object) -> httpx.Response:
    """Create one entry on a trace of its own unless another is named."""
    return http.post("/feedback", json={"trace_id": "document", "value": 1, **fields})


def succeeded(reply: httpx.Response) -> list[str]:
    """Check a reply against FeedbackResponse, and return its ids."""
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("application/json")
    body: dict[str, Any] = reply.json()
    assert set(body) == REPLY_FIELDS
    assert body["status"] == "success"
    assert isinstance(body["message"], str)
    ids: list[str] = body["feedback_ids"]
    assert [str(UUID(feedback_id)) for feedback_id in ids] == ids
    return ids


def failed(reply: httpx.Response) -> str:
    """Check that a call was refused in Portkey's shape, and return the reason."""
    assert 400 <= reply.status_code < 500
    assert reply.json()["status"] == "failure"
    message: str = reply.json()["message"]
    return message


@pytest.mark.parametrize("value", [-10, 0, 10])
def test_values_from_minus_ten_to_ten_are_taken(http: httpx.Client, value: int) -> None:
    succeeded(create(http, value=value))


@pytest.mark.parametrize("value", [-11, 11, 1.5, "1", True, None])
def test_other_values_are_refused(http: httpx.Client, value: object) -> None:
    assert "value" in failed(create(http, value=value))


@pytest.mark.parametrize("weight", [0, 0.5, 1])
def test_weights_from_nought_to_one_are_taken(http: httpx.Client, weight: float) -> None:
    succeeded(create(http, weight=weight))


@pytest.mark.parametrize("weight", [-0.1, 1.1, "1", True])
def test_other_weights_are_refused(http: httpx.Client, weight: object) -> None:
    assert "weight" in failed(create(http, weight=weight))


@pytest.mark.parametrize("required", ["trace_id", "value"])
def test_trace_id_and_value_must_be_there(http: httpx.Client, required: str) -> None:
    body = {"trace_id": "document", "value": 1}
    del body[required]
    assert required in failed(http.post("/feedback", json=body))


def test_metadata_may_hold_anything_and_weight_is_one_by_default(
    http: httpx.Client, gateway: RunningGateway
) -> None:
    metadata = {"text": "ü", "number": 1.5, "list": [1, None], "object": {"deep": True}}
    succeeded(create(http, trace_id="document/metadata", metadata=metadata))
    [entry] = read_trace(gateway, "document/metadata", requests=0)["feedback"]
    assert (entry["metadata"], entry["weight"]) == (metadata, 1)


def test_ids_come_in_the_order_of_the_entries(http: httpx.Client, gateway: RunningGateway) -> None:
    entries = [{"trace_id": "document/bulk", "value": value} for value in (3, 1, 2)]
    ids = succeeded(http.post("/feedback", json=entries))
    stored = read_trace(gateway, "document/bulk", requests=0)["feedback"]
    assert [(entry["feedback_id"], entry["value"]) for entry in stored] == list(
        zip(ids, (3, 1, 2), strict=True)
    )


def test_an_entry_is_updated_under_its_id(http: httpx.Client, gateway: RunningGateway) -> None:
    ids = succeeded(create(http, trace_id="document/update", value=1, weight=0.5))
    change = {"value": 4, "weight": 1, "metadata": {"why": "second thoughts"}}
    assert succeeded(http.put(f"/feedback/{ids[0]}", json=change)) == ids
    [entry] = read_trace(gateway, "document/update", requests=0)["feedback"]
    assert {name: entry[name] for name in change} == change


@pytest.mark.parametrize("change", [{"value": 11}, {"value": 1, "weight": 2}, {"value": 1, "metadata": []}])
def test_an_update_has_the_same_bounds(http: httpx.Client, change: dict[str, object]) -> None:
    ids = succeeded(create(http))
    failed(http.put(f"/feedback/{ids[0]}", json=change))


def test_the_gateways_own_document_says_the_same(http: httpx.Client, gateway: RunningGateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").raise_for_status().json()
    assert {"post"} <= set(document["paths"]["/v1/feedback"])
    assert {"put"} <= set(document["paths"]["/v1/feedback/{feedback_id}"])
    request = document["components"]["schemas"]["FeedbackRequest"]
    assert set(request["required"]) == {"trace_id", "value"}
    value = request["properties"]["value"]
    assert (value["type"], value["minimum"], value["maximum"]) == ("integer", -10, 10)
    assert set(document["components"]["schemas"]["FeedbackResponse"]["properties"]) == REPLY_FIELDS
