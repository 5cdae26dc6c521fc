"""A served face as tests use it: a store to fill with what happened on a morning, and questions about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from gateway.models.feedback import Target
from gateway.models.ids import new_id
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

NINE_US = 1_769_850_000_000_000
"""When the morning begins: 2026-01-31T09:00:00Z."""

MINUTE_US = 60_000_000
MORNING = {
    "time_of_generation_min": "2026-01-31T09:00:00Z",
    "time_of_generation_max": "2026-01-31T10:00:00Z",
}
CENT = 10_000_000
"""Nano-dollars in a cent."""


@dataclass(frozen=True)
class Served:
    client: httpx.AsyncClient
    store: Store

    async def log(
        self,
        request_id: str | None = None,
        *,
        minute: float = 0,
        took_ms: int = 100,
        model: str | None = None,
        tokens: tuple[int, int] | None = None,
        cents: float | None = None,
        **others: Any,
    ) -> None:
        """Log a request that started so many minutes after nine, with what was understood of it."""
        start_us = NINE_US + round(minute * MINUTE_US)
        others = {"ended_at_us": start_us + 1000 * took_ms, **others}
        an_id = request_id or new_id()
        [seq] = await self.store.append([exchange(an_id, an_id, started_at_us=start_us, **others)])
        facts = Facts(
            model=model,
            usage=Usage(*tokens) if tokens else Usage(),
            cost=None if cents is None else Cost(round(cents * CENT), "1"),
        )
        await self.store.annotate([(seq, facts)], start_us)

    async def judge(
        self, request_id: str, value: float | None, weight: float = 1.0, *, tenant: str | None = None
    ) -> None:
        """Give a verdict on a request, from -10 to 10."""
        score = None if value is None else value / 10
        await self.store.put_feedback(
            [
                feedback(
                    new_id(),
                    request_id,
                    target=Target.REQUEST,
                    value=value,
                    score=score,
                    grade=value,
                    weight=weight,
                    tenant=tenant,
                )
            ]
        )

    async def get(self, path: str, key: str = "read-key", **parameters: str) -> httpx.Response:
        """Ask about the morning, or what else the parameters say."""
        headers = {"x-portkey-api-key": key}
        return await self.client.get(f"/{path}", params={**MORNING, **parameters}, headers=headers)

    async def ask(self, path: str, key: str = "read-key", **parameters: str) -> Any:
        """Ask a question that is answered, and return its answer."""
        reply = await self.get(path, key, **parameters)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def graph(self, name: str, **parameters: str) -> tuple[Any, list[Any]]:
        """Return the summary of a graph and its data points, the empty ones left out."""
        graph = await self.ask(f"graphs/{name}", **parameters)
        return graph["summary"], [point for point in graph["data_points"] if _has_something(point)]


def at(minute: int) -> str:
    """The timestamp of this minute after nine."""
    return f"2026-01-31T09:{minute:02}:00.000Z"


def _has_something(point: dict[str, Any]) -> bool:
    return any(value for name, value in point.items() if name != "timestamp")
