"""A line for each request where people read, one for each failure elsewhere, and never a secret in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.scripted_upstream import UpstreamProcess

KEY = "canary-key-0123456789"


def lines_of(gateway: RunningGateway) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in gateway.log().splitlines()]
    return [event for event in events if event["logger"] == "gateway.access"]


def config_of(upstream: UpstreamProcess, requests: str) -> dict[str, Any]:
    return {
        "default_provider": "up",
        "providers": {
            "up": {"base_url": f"{upstream.url}/v1"},
            "down": {"base_url": f"http://127.0.0.1:{closed_port()}"},
        },
        "keys": [{"name": "app", "key": KEY, "role": ["proxy", "feedback", "read"]}],
        "logging": {"format": "json", "requests": requests},
    }


@pytest.fixture(scope="module")
def talkative(
    upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("all"), config_of(upstream, "all")) as running:
        yield running


def line_of(gateway: RunningGateway, event: str) -> dict[str, Any]:
    [line] = eventually(lambda: [line for line in lines_of(gateway) if line["event"] == event])
    return line


def test_a_proxied_request_has_a_line_with_what_it_was(talkative: RunningGateway) -> None:
    httpx.post(
        f"{talkative.url}/v1/chat/completions?key={KEY}",
        json={"model": "gpt-4o-mini", "messages": []},
        headers={"x-portkey-trace-id": "lined"},
    )
    line = line_of(talkative, "POST /v1/chat/completions 200")
    assert (line["level"], line["provider"], line["trace_id"]) == ("info", "up", "lined")
    assert line["model"].startswith("gpt-4o-mini")
    assert line["ms"] >= 0


def test_a_provider_that_is_down_is_a_warning_that_says_why(talkative: RunningGateway) -> None:
    httpx.post(f"{talkative.url}/down/v1/messages", headers={"x-api-key": KEY}, json={})
    line = line_of(talkative, "POST /down/v1/messages 502")
    assert (line["level"], line["outcome"]) == ("warning", "upstream_error")
    assert "connect" in line["error"]


def test_own_paths_have_lines_with_their_documented_path(talkative: RunningGateway) -> None:
    httpx.get(f"{talkative.url}/api/v1/traces/secret-trace", headers={"x-api-key": KEY})
    line = line_of(talkative, "GET /api/v1/traces/{trace_id} 404")
    assert line["level"] == "info"


def test_what_is_refused_has_a_line_with_the_reason(talkative: RunningGateway) -> None:
    httpx.post(f"{talkative.url}/v1/embeddings?key=wrong-canary", json={})
    assert line_of(talkative, "POST embeddings 401")["error"] == "unauthorized"


def test_probes_have_none_and_no_line_holds_a_key_or_a_query(talkative: RunningGateway) -> None:
    httpx.get(f"{talkative.url}/healthz")
    httpx.post(f"{talkative.url}/v1/completions?key={KEY}&x=canary-query", json={})
    line_of(talkative, "POST /v1/completions 200")
    assert not [line for line in lines_of(talkative) if "/healthz" in line["event"]]
    assert "canary" not in talkative.log()


def test_failures_alone_have_lines_where_programs_read(upstream: UpstreamProcess, tmp_path: Path) -> None:
    with RunningGateway(tmp_path, config_of(upstream, "auto")) as gateway:
        headers = {"x-api-key": KEY}
        httpx.post(f"{gateway.url}/v1/chat/completions", headers=headers, json={})
        httpx.post(f"{gateway.url}/down/v1/messages", headers=headers, json={})
        line_of(gateway, "POST /down/v1/messages 502")
        assert len(lines_of(gateway)) == 1
