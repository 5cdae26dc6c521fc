"""Questions to a gateway with a month of traffic in its store: how long do answers take?"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benchmarks.contestants import gateway
from benchmarks.filling import Growth, Month, fill
from benchmarks.processes import Failed, Server, free_port
from gateway.models.clock import now_us

Ask = Callable[[httpx.Client, int], httpx.Response]


@dataclass(frozen=True, slots=True)
class Answered:
    """How long one kind of question took, over HTTP, from sending it to the end of its answer."""

    question: str
    median_ms: float
    worst_ms: float


def ask_all(
    folder: Path, requests: int, times: int, say: Callable[[str], None], url: str | None = None
) -> tuple[list[Growth], list[Answered]]:
    """Fill a store, start a gateway on it, and ask each question so many times; return how the filling went, too.

    Args:
        url: the store, which is empty; None: a new file.

    Raises:
        Failed: a question was not answered with 200.
    """
    folder.mkdir(parents=True)
    month = Month(requests, now_us())
    port = free_port()
    contestant = gateway(url=url)
    assert contestant.command_of is not None
    command = contestant.command_of(folder, port, free_port())
    growth = asyncio.run(fill(url or f"sqlite:///{folder / 'gateway.db'}", month, say))
    with (
        Server(command, port, folder / "gateway.log", contestant.environment),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=600) as client,
    ):
        answers = [
            _answered(client, name, ask, times, say) for name, ask in _questions(client, month).items()
        ]
    return growth, answers


def _answered(client: httpx.Client, name: str, ask: Ask, times: int, say: Callable[[str], None]) -> Answered:
    took = []
    for number in range(times):
        before = time.perf_counter()
        reply = ask(client, number)
        took.append((time.perf_counter() - before) * 1000)
        if reply.status_code != 200:
            raise Failed(f"{name}: {reply.status_code} {reply.text[:500]}")
    answered = Answered(name, statistics.median(took), max(took))
    say(f"{name}: {answered.median_ms:,.1f} ms")
    return answered


def _questions(client: httpx.Client, month: Month) -> dict[str, Ask]:
    return {
        "feedback: one vote": lambda c, n: c.post(
            "/v1/feedback", json={"trace_id": f"trace-{n}", "value": 1}
        ),
        "Helicone: 100 requests by rating": lambda c, n: c.post("/v1/request/query", json=_RATED),
        "trace with its requests and feedback": lambda c, n: c.get(f"/api/v1/traces/trace-{n}"),
        "newest 50 traces": lambda c, n: c.get("/api/v1/traces"),
        "50 users who paid most": lambda c, n: c.get("/api/v1/users", params={"order": "-cost"}),
        "figures by model and day": lambda c, n: c.get(
            "/api/v1/aggregates", params={"group_by": "model", "bucket": "day"}
        ),
        "figures by a key of the metadata": lambda c, n: c.get(
            "/api/v1/aggregates", params={"group_by": "metadata.team"}
        ),
        "the same within 0.8 s": lambda c, n: c.get(
            "/api/v1/aggregates", params={"group_by": "metadata.team", "within": "0.8"}
        ),
        "figures by a key of the metadata and model": lambda c, n: c.get(
            "/api/v1/aggregates", params={"group_by": "metadata.team,model", "within": "0.8"}
        ),
        "newest 50 requests": lambda c, n: c.get("/api/v1/requests"),
        "a user's newest 50 requests": lambda c, n: c.get("/api/v1/requests", params={"user": f"user-{n}"}),
        **{path: _graph(path, month) for path in _analytics(client)},
    }


_RATED = {"filter": {"feedback": {"rating": {"equals": True}}}, "limit": 100}


def _analytics(client: httpx.Client) -> list[str]:
    paths = client.get("/openapi.json").raise_for_status().json()["paths"]
    return [path for path in paths if path.startswith("/v1/analytics/")]


def _graph(path: str, month: Month) -> Ask:
    asked = path.replace("{metadata_key}", "team").replace("{metadataKey}", "team")
    span = {
        "time_of_generation_min": _rfc_3339(month.starts_at_us),
        "time_of_generation_max": _rfc_3339(month.ends_at_us),
    }
    return lambda client, _: client.get(asked, params=span)


def _rfc_3339(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()
