"""Servers that show traces, as their packages bring them, and a gateway that tells them everything.

They listen on loopback, and are ended by their pid.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway

QUESTION = "Will it rain?"
COMMENT = "It did."
_CHAT = {"model": "demo-1", "messages": [{"role": "user", "content": QUESTION}]}
_METADATA = json.dumps({"_user": "ann", "_session": "talk", "_prompt": "weather@3"})
_PRICES = {"demo-1": {"input": 1_000_000, "output": 0}}
_HASTE = {"OTEL_BSP_SCHEDULE_DELAY": "50"}

START_SECONDS = 500
"""Both import for long, and make a database of many migrations first."""


@contextmanager
def serving(folder: Path, url: str, arguments: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Have a Python module run as a server that answers at `url`, with its files in `folder`."""
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(url):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).is_success
    except httpx.TransportError:
        return False


def client_of(url: str) -> Iterator[httpx.Client]:
    """Yield what speaks to a server's own API."""
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def url_of(client: httpx.Client) -> str:
    """Return where a client's server is."""
    return str(client.base_url).rstrip("/")


def telling_gateway(folders: pytest.TempPathFactory, telemetry: dict[str, Any]) -> Iterator[RunningGateway]:
    """Yield a gateway with this `telemetry`, whose answers are the demo's."""
    config = {"prices": _PRICES, "telemetry": telemetry}
    with RunningGateway(
        folders.mktemp("gateway"), config, arguments=("--demo",), environment=_HASTE
    ) as running:
        yield running


def chat(gateway: RunningGateway, trace: str, **headers: str) -> httpx.Response:
    """Ask something in a trace, whose id is 32 hex digits."""
    fields = {"x-portkey-trace-id": trace, "x-portkey-metadata": _METADATA, **headers}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=_CHAT, headers=fields, timeout=60)
    return answer.raise_for_status()


def give(gateway: RunningGateway, trace: str) -> str:
    """Give feedback on a trace at once, before its span can have arrived, and return its id."""
    vote = {"trace_id": trace, "feedback": {"rating": 5, "comment": COMMENT}}
    given = httpx.post(f"{gateway.url}/api/feedback", json=vote, timeout=60).raise_for_status()
    return str(given.json()["feedback_id"])


def patch(gateway: RunningGateway, given: str, rating: int) -> None:
    url = f"{gateway.url}/api/feedback/{given}"
    httpx.patch(url, json={"feedback": {"rating": rating}}, timeout=60).raise_for_status()


def delete(gateway: RunningGateway, given: str) -> None:
    httpx.delete(f"{gateway.url}/api/feedback/{given}", timeout=60).raise_for_status()
