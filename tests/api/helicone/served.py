"""Helicone's face as tests use it: calls over HTTP, and a look into the store behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import Facts
from gateway.store.base import Store

DONE = {"data": None, "error": None}
NOT_FOUND = {"data": None, "error": "Request not found"}


@dataclass(frozen=True)
class Served:
    client: httpx.AsyncClient
    store: Store

    async def call(
        self, method: str, path: str, body: object = None, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Call a path below /v1/request. Underscores in names of headers become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        credentials = {} if key is None else {"Helicone-Auth": f"Bearer {key}"}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return await self.client.request(method, path, content=content, headers={**credentials, **named})

    async def rate(self, request_id: str, rating: bool, key: str | None = None, **headers: str) -> None:
        """Rate a request; that must be taken."""
        reply = await self.call("POST", f"/{request_id}/feedback", {"rating": rating}, key, **headers)
        assert (reply.status_code, reply.json()) == (200, DONE)

    async def score(self, request_id: str, key: str | None = None, /, **scores: bool | float) -> None:
        """Score a request; that must be taken."""
        reply = await self.call("POST", f"/{request_id}/score", {"scores": scores}, key)
        assert (reply.status_code, reply.json()) == (200, DONE)

    async def query(self, filter: object = "all", key: str | None = None, **others: object) -> Any:
        """The rows of a query that must be taken."""
        reply = await self.call("POST", "/query-clickhouse", {"filter": filter, **others}, key)
        assert reply.status_code == 200, reply.text
        assert set(reply.json()) == {"data", "error"}
        assert reply.json()["error"] is None
        return reply.json()["data"]

    async def ids(self, filter: object = "all", key: str | None = None, **others: object) -> list[str]:
        """The ids of the requests that a query finds."""
        return [row["request_id"] for row in await self.query(filter, key, **others)]

    async def row(self, request_id: str, key: str | None = None) -> Any:
        """One request as it is shown."""
        reply = await self.call("GET", f"/{request_id}", key=key)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]

    async def entries(self) -> list[Feedback]:
        """All feedback that is stored."""
        return await self.store.find_feedback(NO_FILTER, Sort(), Page(limit=100_000), None)

    async def log(self, request_id: str, facts: Facts | None = None, **given: Any) -> int:
        """Log one request and what is known of it; return its seq."""
        [seq] = await self.store.append([exchange(request_id, **given)])
        if facts is not None:
            await self.store.annotate([(seq, facts)], 1)
        return seq


def exchange(request_id: str, **given: Any) -> Exchange:
    """A chat completion of a quarter of a second, of which only what a test is about needs to be said."""
    request_body = given.get("request_body", b'{"model":"gpt-4o","messages":[]}')
    response_body = given.get("response_body", b'{"id":"chatcmpl-1","n":1.50}')
    identity = Identity(request_id, given.pop("trace_id", "trace-1"), metadata=given.pop("metadata", {}))
    usual: dict[str, Any] = {
        "provider": "openai",
        "endpoint": "chat.completions",
        "method": "POST",
        "path": "/v1/chat/completions",
        "started_at_us": 1_700_000_000_000_000,
        "first_byte_at_us": 1_700_000_000_100_000,
        "ended_at_us": 1_700_000_000_250_000,
        "status": 200,
        "outcome": Outcome.COMPLETE,
        "request_headers": ((b"Content-Type", b"application/json"),),
        "request_body": request_body,
        "request_size": len(request_body),
        "response_headers": ((b"content-type", b"application/json"),),
        "response_body": response_body,
        "response_size": len(response_body),
    }
    return Exchange(identity=identity, **{**usual, **given})


def complaint(reply: httpx.Response) -> str:
    """The message of an error in Helicone's shape."""
    body = reply.json()
    assert set(body) == {"data", "error"}
    assert body["data"] is None
    return str(body["error"])
