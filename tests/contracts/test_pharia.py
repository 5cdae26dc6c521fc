"""PhariaAssistant's dialect on a whole gateway: given, listed beside other dialects, changed and withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a gateway without keys, on which everybody may do everything."""
    with (
        RunningGateway(tmp_path_factory.mktemp("pharia"), {}, arguments=("--demo",)) as gateway,
        httpx.Client(base_url=gateway.url, trust_env=False) as client,
    ):
        yield client


def test_feedback_before_its_request_is_joined_and_counts_on_the_trace(http: httpx.Client) -> None:
    given = http.post("/api/feedback", json={"trace_id": "early", "feedback": {"rating": 5, "mood": "🙂"}})
    assert given.status_code == 200

    chat = http.post("/v1/chat/completions", json=CHAT, headers={"x-portkey-trace-id": "early"})
    assert chat.status_code == 200

    def joined() -> dict[str, Any]:
        trace: dict[str, Any] = http.get("/api/v1/traces/early").json()
        return trace if all(entry["joined_at"] for entry in trace["feedback"]) else {}

    trace = eventually(joined)
    [entry] = trace["feedback"]
    assert entry["feedback_id"] == given.json()["feedback_id"]
    assert trace["score"]["weighted_mean"] == 1


def test_one_entry_goes_through_both_dialects_and_our_own(http: httpx.Client) -> None:
    feedback_id = http.post(
        "/feedback", json={"trace_id": "shared", "app_id": "shop", "feedback": {"rating": 2}}
    ).json()["feedback_id"]
    http.put(f"/v1/feedback/{feedback_id}", json={"value": 7}).raise_for_status()
    http.patch(f"/api/feedback/{feedback_id}", json={"feedback": {"comment": "why"}}).raise_for_status()

    [entry] = http.get("/api/feedback", params={"trace_id": "shared"}).json()
    assert entry["feedback"] == {"value": 7, "weight": 1, "comment": "why"}
    versions = http.get(f"/api/v1/feedback/{feedback_id}").json()["versions"]
    assert [(version["dialect"], version["value"], version["score"]) for version in versions] == [
        ("pharia", 2, -0.5),
        ("portkey", 7, 0.7),
        ("pharia", 7, 0.7),
    ]

    http.delete(f"/api/feedback/{feedback_id}").raise_for_status()
    assert http.get("/api/v1/feedback", params={"trace_id": "shared"}).json()["data"] == []
    assert http.put(f"/v1/feedback/{feedback_id}", json={"value": 1}).status_code == 404
