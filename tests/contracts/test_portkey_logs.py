"""Portkey's SDK telling of requests and exporting them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import portkey_ai
import pytest
from portkey_ai.api_resources import exceptions

from tests.demo_gateway import GATEWAY_KEY, KEY_NAME, read_request, read_trace
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

CHAT = "https://api.openai.com/v1/chat/completions"
ANSWER = {"id": "chatcmpl-told", "model": "gpt-4o", "usage": {"prompt_tokens": 10, "completion_tokens": 5}}


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[Any]:
    """The SDK. Its types say less than its replies hold."""
    with portkey_ai.Portkey(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY) as sdk:
        yield sdk
        sdk.openai_client.close()


@pytest.fixture
def trace_id() -> str:
    """A trace that nobody has used."""
    return f"logs-{secrets.token_hex(8)}"


def test_a_log_is_created_understood_and_judged(client: Any, gateway: RunningGateway, trace_id: str) -> None:
    reply = client.logs.create(
        request={"url": CHAT, "method": "POST", "headers": {"x-a": "b"}, "body": {"model": "gpt-4o"}},
        response={"status": 200, "headers": {}, "body": ANSWER, "response_time": 1200},
        metadata={"trace_id": trace_id, "span_id": "1", "span_name": "chat", "_user": "ann"},
    )  # fmt: skip
    client.feedback.create(trace_id=trace_id, value=5)

    trace = read_trace(gateway, trace_id)
    [request], [entry] = trace["requests"], trace["feedback"]
    assert reply.json() == {
        "status": "success", "message": "Logs successfully saved", "log_ids": [request["request_id"]],
    }  # fmt: skip
    assert (request["model"], request["prompt_tokens"], request["latency_ms"]) == ("gpt-4o", 10, 1200)
    assert (request["span_id"], request["span_name"], request["user"]) == ("1", "chat", "ann")
    assert (request["cost_nanousd"], request["key_name"]) == (75_000, KEY_NAME)
    assert entry["joined_at"] is not None


def test_the_smallest_log_that_the_sdk_sends_is_taken(client: Any, gateway: RunningGateway) -> None:
    reply = client.logs.create(request={"url": CHAT, "body": {}}, response={"body": {}})
    [log_id] = reply.json()["log_ids"]
    assert read_request(gateway, log_id)["provider"] == "api.openai.com"


def test_an_export_goes_its_whole_way(client: Any, gateway: RunningGateway, trace_id: str) -> None:
    for number in range(3):
        client.logs.create(
            request={"url": CHAT, "body": {"n": number}}, response={"body": ANSWER}, metadata={"trace_id": trace_id}
        )  # fmt: skip
    exports = client.logs.exports
    created = exports.create(
        filters={"trace_id": trace_id}, requested_data=["id", "request", "req_units"], description="mine"
    )
    assert (created.object, created.total) == ("export", 3)
    first_two = {"trace_id": trace_id, "page_size": 2}
    updated = exports.update(export_id=created.id, filters=first_two, requested_data=["request", "req_units"])
    assert (updated.id, updated.total, updated.object) == (created.id, 2, "export")

    started = exports.start(export_id=created.id)
    assert (started.object, created.id in started.message) == ("export", True)
    done = eventually(lambda: _unless_in_progress(exports.retrieve(export_id=created.id)))
    assert (done.status, done.total_records, done.rows_done, done.progress) == ("success", 2, 2, 1)
    assert (done.description, done.requested_data) == ("mine", ["request", "req_units"])

    listed = exports.list(workspace_id="any")
    assert (listed.object, listed.data[0]["id"]) == ("list", created.id)
    assert exports.list().total == listed.total >= 1

    file = httpx.get(exports.download(export_id=created.id).signed_url).raise_for_status()
    assert [json.loads(line) for line in file.text.splitlines()] == [
        {"request": {"n": number}, "req_units": 10} for number in range(2)
    ]


def _unless_in_progress(export: Any) -> Any:
    return None if export.status == "in_progress" else export


def test_an_export_that_is_cancelled_is_stopped_and_may_be_started_again(
    client: Any, gateway: RunningGateway, trace_id: str
) -> None:
    log = {
        "request": {"url": CHAT, "body": {"text": "x" * 10_000}},
        "response": {"body": {}},
        "metadata": {"trace_id": trace_id},
    }
    headers = {"x-portkey-api-key": GATEWAY_KEY}
    httpx.post(f"{gateway.url}/v1/logs", json=[log] * 1000, headers=headers).raise_for_status()
    exports = client.logs.exports
    export_id = exports.create(filters={"trace_id": trace_id}, requested_data=["request"]).id
    with pytest.raises(exceptions.ConflictError, match="not in progress: it is draft"):
        exports.cancel(export_id=export_id)

    exports.start(export_id=export_id)
    assert exports.cancel(export_id=export_id).object == "export"
    assert exports.retrieve(export_id=export_id).status == "stopped"
    exports.start(export_id=export_id)
    done = eventually(lambda: _unless_in_progress(exports.retrieve(export_id=export_id)))
    assert (done.status, done.rows_done) == ("success", 1000)


def test_what_is_refused_is_an_exception_that_says_why(client: Any) -> None:
    with pytest.raises(exceptions.BadRequestError, match=r"request\.url: must be a whole URL"):
        client.logs.create(request={"url": "chat", "body": {}}, response={"body": {}})
    with pytest.raises(exceptions.BadRequestError, match=r"filters\.cost_min: must be a number"):
        client.logs.exports.create(filters={"cost_min": "x"}, requested_data=["id"])
    with pytest.raises(exceptions.NotFoundError, match="no export has the id"):
        client.logs.exports.retrieve(export_id="nobody")
