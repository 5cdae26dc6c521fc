"""A gateway with keys in front of the built-in provider, and what its own API tells of what went through it.

The fixture is to be imported by the conftest of each folder that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually

GATEWAY_KEY = "gw-caller-0123456789"
KEY_NAME = "caller"

CONFIG = {"keys": [{"name": KEY_NAME, "key": GATEWAY_KEY, "role": ["proxy", "feedback", "read"]}]}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose only provider is `demo`, opened by `GATEWAY_KEY`."""
    with RunningGateway(tmp_path_factory.mktemp("demo"), CONFIG, arguments=("--demo",)) as gateway:
        yield gateway


def read_trace(gateway: RunningGateway, trace_id: str, *, requests: int = 1) -> dict[str, Any]:
    """Return a trace, once so many requests of it are logged and understood."""

    def understood() -> dict[str, Any]:
        trace = _read(gateway, f"traces/{quote(trace_id, safe='')}")
        known = [request for request in trace.get("requests", ()) if request["interpreted_at"]]
        return trace if len(known) >= requests else {}

    trace = eventually(understood)
    assert len(trace["requests"]) == requests
    return trace


def read_request(gateway: RunningGateway, any_id: str) -> dict[str, Any]:
    """Return a request by its id or its response's, once it is logged and understood."""

    def understood() -> dict[str, Any]:
        request = _read(gateway, f"requests/{any_id}")
        return request if request.get("interpreted_at") else {}

    return eventually(understood)


def _read(gateway: RunningGateway, path: str) -> dict[str, Any]:
    reply = httpx.get(f"{gateway.url}/api/v1/{path}", headers={"Authorization": f"Bearer {GATEWAY_KEY}"})
    if reply.status_code == httpx.codes.NOT_FOUND:
        return {}
    found: dict[str, Any] = reply.raise_for_status().json()
    return found
