"""Portkey's SDK, given the gateway as its base URL and a gateway key as its API key."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import portkey_ai
import pytest
from portkey_ai.api_resources import exceptions

from gateway.models.ids import new_id
from tests.demo_gateway import GATEWAY_KEY, KEY_NAME, read_request, read_trace
from tests.gateway_process import RunningGateway

MODEL = "demo-chat"
MESSAGES: list[Any] = [{"role": "user", "content": "How are you, gateway?"}]


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[Any]:
    """The SDK. Its types say less than its replies hold."""
    with portkey_ai.Portkey(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY) as sdk:
        yield sdk
        sdk.openai_client.close()


@pytest.fixture
def trace_id() -> str:
    """A trace that nobody has used."""
    return f"portkey-{secrets.token_hex(8)}"


def test_trace_metadata_and_provider_given_to_the_sdk_are_in_the_row(
    client: Any, gateway: RunningGateway, trace_id: str
) -> None:
    known = client.with_options(
        trace_id=trace_id, provider="@demo", metadata={"_user": "ann", "_environment": "test", "team": "blue"}
    )
    completion = known.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert "How are you, gateway?" in completion.choices[0].message.content

    [request] = read_trace(gateway, trace_id)["requests"]
    assert request["response_id"] == completion.id
    assert (request["user"], request["environment"], request["provider"]) == ("ann", "test", "demo")
    assert (request["metadata"]["team"], request["key_name"]) == ("blue", KEY_NAME)


def test_a_stream_comes_in_pieces_and_is_logged_whole(
    client: Any, gateway: RunningGateway, trace_id: str
) -> None:
    stream = client.with_options(trace_id=trace_id).chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True
    )
    pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert len(pieces) > 5

    [request] = read_trace(gateway, trace_id)["requests"]
    shown = read_request(gateway, request["request_id"])["response"]["reassembled"]
    assert shown["choices"][0]["message"]["content"] == "".join(filter(None, pieces))


def test_the_sdk_shows_the_headers_that_the_gateway_adds(client: Any, trace_id: str) -> None:
    completion = client.with_options(trace_id=trace_id).chat.completions.create(
        model=MODEL, messages=MESSAGES
    )
    headers = completion.get_headers()
    assert headers["trace-id"] == trace_id
    assert headers["provider"] == "demo"


def test_feedback_is_created_joined_and_changed(client: Any, gateway: RunningGateway, trace_id: str) -> None:
    client.with_options(trace_id=trace_id).chat.completions.create(model=MODEL, messages=MESSAGES)
    created = client.feedback.create(
        trace_id=trace_id, value=5, weight=0.25, metadata={"_user": "ann", "n": 1}
    )
    assert created.status == "success"
    [feedback_id] = created.feedback_ids

    updated = client.feedback.update(feedback_id=feedback_id, value=-10, metadata={"n": 2})
    assert updated.status == "success"
    assert updated.feedback_ids == [feedback_id]

    [entry] = read_trace(gateway, trace_id)["feedback"]
    assert (entry["feedback_id"], entry["value"], entry["weight"]) == (feedback_id, -10, 0.25)
    assert (entry["metadata"], entry["author"], entry["version"]) == ({"n": 2}, "ann", 2)
    assert entry["joined_at"] is not None


def test_the_sdks_smallest_call_has_weight_one_and_a_value_of_nought_is_sent(
    client: Any, gateway: RunningGateway, trace_id: str
) -> None:
    client.feedback.create(trace_id=trace_id, value=0)
    [entry] = read_trace(gateway, trace_id, requests=0)["feedback"]
    assert (entry["value"], entry["weight"], entry["metadata"]) == (0, 1, {})


def test_many_entries_are_answered_in_the_order_in_which_they_were_sent(
    client: Any, gateway: RunningGateway, trace_id: str
) -> None:
    values = list(range(-10, 11))
    bulk = client.feedback.bulk_create(
        feedbacks=[{"trace_id": trace_id, "value": value, "weight": 0.5} for value in values]
    )
    stored = {
        entry["feedback_id"]: entry["value"]
        for entry in read_trace(gateway, trace_id, requests=0)["feedback"]
    }
    assert [stored[feedback_id] for feedback_id in bulk.feedback_ids] == values


def test_an_id_of_ones_own_and_a_comment_go_through_and_make_a_call_safe_to_repeat(
    client: Any, gateway: RunningGateway, trace_id: str
) -> None:
    entry = {"trace_id": trace_id, "value": 1, "id": new_id(), "comment": "Short and clear"}
    first, again = [client.feedback.bulk_create(feedbacks=[entry]) for _ in range(2)]
    assert first.feedback_ids == again.feedback_ids == [entry["id"]]
    [stored] = read_trace(gateway, trace_id, requests=0)["feedback"]
    assert stored["comment"] == entry["comment"]


def test_refused_feedback_is_an_exception_that_says_why(client: Any, trace_id: str) -> None:
    with pytest.raises(exceptions.BadRequestError, match="value: must be an integer from -10 to 10"):
        client.feedback.create(trace_id=trace_id, value=11)
    with pytest.raises(exceptions.BadRequestError, match=r"\[1\]\.value"):
        client.feedback.bulk_create(feedbacks=[{"trace_id": trace_id, "value": 1}, {"trace_id": trace_id}])
    with pytest.raises(exceptions.NotFoundError):
        client.feedback.update(feedback_id="01900000-0000-7000-8000-000000000000", value=1)


def test_an_unknown_key_is_refused(client: Any, trace_id: str) -> None:
    with pytest.raises(exceptions.AuthenticationError, match="gateway key"):
        client.with_options(api_key="gw-wrong").feedback.create(trace_id=trace_id, value=1)
