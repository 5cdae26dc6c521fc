"""A served face as tests use it: calls over HTTP, and a look into the store behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx

from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store.base import Store

GOOD: dict[str, object] = {"trace_id": "trace-1", "value": 5}


@dataclass(frozen=True)
class Served:
    url: str
    client: httpx.AsyncClient
    store: Store

    async def post(self, body: object = GOOD, **headers: str) -> httpx.Response:
        """Give feedback. Underscores in names of headers become hyphens."""
        return await self.client.post("/feedback", content=as_bytes(body), headers=as_headers(headers))

    async def put(self, feedback_id: str, body: object, **headers: str) -> httpx.Response:
        """Change an entry."""
        return await self.client.put(
            f"/feedback/{feedback_id}", content=as_bytes(body), headers=as_headers(headers)
        )

    async def give(self, body: object = GOOD, **headers: str) -> Feedback:
        """Give one vote that is taken, and return its entry."""
        reply = await self.post(body, **headers)
        assert reply.status_code == 200, reply.text
        [entry] = await self.store.feedback_by_ids(reply.json()["feedback_ids"])
        return entry

    async def entries(self) -> list[Feedback]:
        """Everything that is stored."""
        return await self.store.find_feedback(NO_FILTER, Sort(), Page(limit=100_000), None)


def as_bytes(body: object) -> bytes:
    """A body as it goes over the wire; bytes go as they are."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def as_headers(named: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}


def complaint(reply: httpx.Response) -> str:
    """The message of a failure in Portkey's shape."""
    body = reply.json()
    assert set(body) == {"status", "message"}
    assert body["status"] == "failure"
    assert reply.headers["content-type"].startswith("application/json")
    return str(body["message"])
