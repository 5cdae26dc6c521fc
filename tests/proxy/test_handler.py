"""Plans of several targets: each attempt leaves a row, and the caller sees the last one's response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.app import WorkerContext
from gateway.config import Config
from gateway.routing.plan import Plan
from gateway.server.http_server import open_http_server
from gateway.server.listeners import bind, listener_url
from tests import log_reader
from tests.gateway_fixtures import closed_port
from tests.scripted_upstream import UpstreamProcess

TRACE = {"x-portkey-trace-id": "attempts"}
SHORT, LONG = b'{"model":"m"}', b"x" * 3_000_000


@pytest.fixture
async def fallback_url(upstream: UpstreamProcess, tmp_path: Path) -> AsyncIterator[str]:
    """A gateway that attempts a provider that refuses connections before the one that answers."""
    config = Config.model_validate(
        {
            "server": {"port": 0},
            "storage": {"url": f"sqlite:///{tmp_path / 'gateway.db'}"},
            "default_provider": "up",
            "providers": {
                "down": {"base_url": f"http://127.0.0.1:{closed_port()}/v1", "payloads": "off"},
                "up": {"base_url": f"{upstream.url}/v1"},
            },
        }
    )
    async with open_http_server(config, WorkerContext()) as http_server:
        router = http_server.gateway.runtime.proxy.router
        choose = router.plan

        def plan(path: str, name: str | None, *others: str) -> Plan:
            return Plan(choose(path, "down", None).targets + choose(path, name, None).targets)

        router.plan = plan  # type: ignore[assignment,method-assign]
        listeners = bind("127.0.0.1", 0)
        await http_server.accept(listeners)
        yield listener_url("127.0.0.1", listeners)


async def call(url: str, body: bytes, provider: str = "up") -> httpx.Response:
    headers = {**TRACE, "x-portkey-provider": provider}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{url}/v1/chat/completions", content=body, headers=headers)


@pytest.mark.parametrize("body", [SHORT, LONG])
async def test_a_request_whose_first_target_fails_goes_to_the_next_with_its_whole_body(
    fallback_url: str, tmp_path: Path, body: bytes
) -> None:
    response = await call(fallback_url, body)
    assert (response.status_code, response.headers["x-portkey-provider"]) == (200, "up")
    assert response.json()["size"] == len(body)
    failed, served = log_reader.rows(tmp_path / "gateway.db", "attempts")
    assert (failed["attempt"], failed["provider"], failed["status"]) == (0, "down", 502)
    assert (failed["outcome"], served["outcome"]) == ("upstream_error", "complete")
    assert (served["attempt"], served["provider"], served["status"]) == (1, "up", 200)
    assert failed["request_id"] == served["request_id"] == response.headers["x-gateway-request-id"]
    assert "refused" in failed["error"]
    assert served["error"] is None
    assert failed["started_at_us"] <= failed["ended_at_us"] <= served["started_at_us"]
    assert log_reader.payload(tmp_path / "gateway.db", failed["seq"]) is None
    kept = log_reader.payload(tmp_path / "gateway.db", served["seq"])
    assert kept is not None
    assert served["request_size"] == len(body)


async def test_when_every_target_fails_the_last_one_s_error_is_the_response(
    fallback_url: str, tmp_path: Path
) -> None:
    response = await call(fallback_url, SHORT, provider="down")
    assert response.status_code == 502
    rows = log_reader.rows(tmp_path / "gateway.db", "attempts")
    assert [(row["attempt"], row["outcome"]) for row in rows] == [
        (0, "upstream_error"),
        (1, "upstream_error"),
    ]
