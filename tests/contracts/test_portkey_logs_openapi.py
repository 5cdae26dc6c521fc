"""What Portkey's OpenAPI document says of /logs and /logs/exports, asked of the gateway.

Source: schemas CustomLog, LogObject, ExportItem and those beside them of https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_request
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

from .portkey_schemas import (
    COLUMNS,
    EXPORT_ITEM,
    LOG_OBJECT,
    LOG_REQUEST,
    LOG_RESPONSE,
    METRICS,
    OUR_OWN,
    TASK,
    UPDATED,
    follows,
    url,
)


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A client whose paths begin where the document's server does."""
    with httpx.Client(base_url=f"{gateway.url}/v1", headers={"x-portkey-api-key": GATEWAY_KEY}) as client:
        yield client


def taken(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    body: dict[str, Any] = reply.json()
    return body


def custom_log(**metadata: str) -> dict[str, Any]:
    """A log with every field of the document."""
    return {
        "request": {
            "url": "https://api.openai.com/v1/chat/completions",
            "method": "POST",
            "headers": {"content-type": "application/json"},
            "body": {"model": "gpt-4o"},
        },
        "response": {
            "status": 200,
            "headers": {"content-type": "application/json"},
            "body": {"model": "gpt-4o", "usage": {"prompt_tokens": 10, "completion_tokens": 5}},
            "response_time": 5,
        },
        "metadata": {"trace_id": "t", "span_id": "s", "span_name": "n", **metadata},
    }


def test_a_log_is_inserted_with_every_field_and_shown_as_the_document_says(
    http: httpx.Client, gateway: RunningGateway
) -> None:
    [log_id] = taken(http.post("/logs", json=custom_log(_prompt="greet", parent_span_id="p")))["log_ids"]
    read_request(gateway, log_id)
    log = taken(http.get(f"/logs/{log_id}"))
    follows(log, LOG_OBJECT)
    follows(log["request"], LOG_REQUEST)
    follows(log["response"], LOG_RESPONSE)
    follows(log["metrics"], METRICS, optional={"organisation_id", "cache_status"})


def test_a_request_that_passed_is_shown_as_the_document_says(
    http: httpx.Client, gateway: RunningGateway
) -> None:
    chat = {"model": "demo-chat", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    reply = http.post("/chat/completions", json=chat)
    log_id = reply.headers["helicone-id"]
    read_request(gateway, log_id)
    log = taken(http.get(f"/logs/{log_id}"))
    follows(log, LOG_OBJECT)
    follows(log["request"], LOG_REQUEST)
    follows(log["response"], LOG_RESPONSE)
    unknown = set(METRICS) - {
        "id",
        "created_at",
        "is_success",
        "ai_org",
        "ai_model",
        "request_url",
        "is_proxy_call",
    }
    follows(log["metrics"], METRICS, optional=unknown)


def test_an_array_of_logs_is_inserted(http: httpx.Client) -> None:
    assert len(taken(http.post("/logs", json=[custom_log(), custom_log()]))["log_ids"]) == 2


@pytest.mark.parametrize(("part", "field"), [("request", "url"), ("request", "body"), ("response", "body")])
def test_what_the_document_requires_must_be_there(http: httpx.Client, part: str, field: str) -> None:
    log = custom_log()
    del log[part][field]
    reply = http.post("/logs", json=log)
    assert (reply.status_code, reply.json()["message"]) == (400, f"{part}.{field}: is missing.")


def test_an_export_with_every_filter_and_column_goes_its_way_as_the_document_says(http: httpx.Client) -> None:
    trace_id = f"document-{secrets.token_hex(8)}"
    taken(http.post("/logs", json=custom_log(trace_id=trace_id)))
    filters = {
        "time_of_generation_min": "2020-01-01T00:00:00+05:30", "time_of_generation_max": "2100-01-01T00:00:00Z",
        "total_units_min": 0, "total_units_max": 100, "cost_min": 0, "cost_max": 100, "ai_model": "gpt-4o",
        "prompt_token_min": 0, "prompt_token_max": 100, "completion_token_min": 0, "completion_token_max": 100,
        "status_code": "200", "metadata": {}, "ai_org_model": "api.openai.com__gpt-4o", "trace_id": trace_id,
        "virtual_keys": "api.openai.com", "workspace_slug": "main", "page_size": 50000, "current_page": 0,
    }  # fmt: skip
    body = {"workspace_id": "w", "filters": filters, "requested_data": list(COLUMNS)}
    created = taken(http.post("/logs/exports", json=body))
    follows(created, UPDATED)
    path = f"/logs/exports/{created['id']}"
    follows(taken(http.put(path, json=body)), UPDATED)
    follows(taken(http.post(f"{path}/start")), TASK)

    def show() -> dict[str, Any]:
        export = taken(http.get(path))
        return {} if export["status"] == "in_progress" else export

    export = eventually(show)
    assert set(export) - set(EXPORT_ITEM) == OUR_OWN
    follows({name: export[name] for name in EXPORT_ITEM}, EXPORT_ITEM)
    assert (export["status"], export["filters"], export["requested_data"]) == (
        "success",
        filters,
        list(COLUMNS),
    )

    listed = taken(http.get("/logs/exports", params={"workspace_id": "w"}))
    assert (listed["object"], listed["data"][0]) == ("list", export)
    assert listed["total"] >= len(listed["data"])

    link = taken(http.get(f"{path}/download"))
    follows(link, {"signed_url": url})
    [row] = [
        httpx.Response(200, text=line).json() for line in httpx.get(link["signed_url"]).text.splitlines()
    ]
    assert tuple(row) == COLUMNS


def test_a_started_export_is_cancelled_or_refused_as_the_document_says(http: httpx.Client) -> None:
    export = taken(http.post("/logs/exports", json={"filters": {}, "requested_data": ["id"]}))
    refused = http.post(f"/logs/exports/{export['id']}/cancel")
    assert (refused.status_code, refused.json()["status"]) == (409, "failure")


def test_the_gateways_own_document_has_these_paths(gateway: RunningGateway) -> None:
    document = httpx.get(f"{gateway.url}/openapi.json").raise_for_status().json()
    paths = {path: set(methods) for path, methods in document["paths"].items() if path.startswith("/v1/logs")}
    assert paths == {
        "/v1/logs": {"post"},
        "/v1/logs/{log_id}": {"get"},
        "/v1/logs/exports": {"get", "post"},
        "/v1/logs/exports/{export_id}": {"get", "put"},
        "/v1/logs/exports/{export_id}/start": {"post"},
        "/v1/logs/exports/{export_id}/cancel": {"post"},
        "/v1/logs/exports/{export_id}/download": {"get"},
        "/v1/logs/exports/{export_id}/file": {"get"},
    }
    columns = document["components"]["schemas"]["NewExport"]["properties"]["requested_data"]
    assert tuple(columns["items"]["enum"]) == (*COLUMNS, "feedback")
