"""The live tail of a gateway with two workers: rows of both, and an end at once when it stops."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import httpx

from tests.conftest import StartGateway
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

REPLY = b'{"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


def rows(lines: Iterator[str], number: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while len(found) < number:
        line = next(lines)
        if line.startswith("data: {"):
            found.append(json.loads(line.removeprefix("data: ")))
    return found


def test_it_shows_the_rows_of_all_workers_and_ends_with_the_gateway(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(
        {
            "server": {"workers": 2, "drain_seconds": 20},
            "providers": {"up": {"base_url": f"{upstream.url}/v1"}},
        }
    )
    with httpx.stream(
        "GET", f"{gateway.url}/api/v1/requests/tail?model=m", timeout=30, trust_env=False
    ) as tail:
        assert tail.headers["Transfer-Encoding"] == "chunked"
        lines = tail.iter_lines()
        assert next(lines) == "retry: 2000"
        for number in range(12):
            traced = f"x-portkey-trace-id: t{number}".encode()
            script = upstream.script(*answer(REPLY))
            call(gateway.port, request(b"POST", b"/v1/chat/completions", script, traced, body=b"{}"))
        seen = rows(lines, 12)
        assert {row["trace_id"] for row in seen} == {f"t{number}" for number in range(12)}
        assert all(row["prompt_tokens"] == 1 for row in seen)
        begun = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert "".join(lines) == ""
    assert gateway.wait() == 0
    assert time.monotonic() - begun < 10
