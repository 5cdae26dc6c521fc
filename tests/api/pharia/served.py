"""A served face as tests use it: calls over HTTP, and a look into the store behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.feedback import Feedback
from gateway.store.base import Store

UPDATED = {"message": "Feedback updated successfully"}
DELETED = {"message": "Feedback deleted successfully"}

GOOD: dict[str, object] = {"trace_id": "trace-1", "feedback": {"rating": 4}}


@dataclass(frozen=True)
class Served:
    client: httpx.AsyncClient
    store: Store

    async def call(
        self, method: str, path: str, body: object = None, by: str = "app", **headers: str
    ) -> httpx.Response:
        """Call a path below `/api/feedback` as one of the principals. Underscores in names of headers become
        hyphens; a body that is no bytes is sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"Authorization": f"Bearer {by}", **named}
        return await self.client.request(method, f"/api/feedback{path}", content=content, headers=headers)

    async def give(self, feedback: object = None, by: str = "app", **fields: object) -> str:
        """Give feedback that is taken, and return its id."""
        given = GOOD | ({} if feedback is None else {"feedback": feedback}) | fields
        reply = await self.call("POST", "", given, by)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["feedback_id"])

    async def change(self, feedback_id: str, **fields: object) -> None:
        """Change an entry."""
        reply = await self.call("PATCH", f"/{feedback_id}", fields)
        assert reply.status_code == 200, reply.text
        assert reply.json() == UPDATED

    async def find(self, query: str = "", by: str = "admin") -> list[dict[str, Any]]:
        """The entries that a search finds."""
        reply = await self.call("GET", query and f"?{query}", by=by)
        assert reply.status_code == 200, reply.text
        entries: list[dict[str, Any]] = reply.json()
        return entries

    async def show(self, feedback_id: str) -> dict[str, Any]:
        """One entry in this dialect's words."""
        [entry] = await self.find(f"feedback_id={feedback_id}")
        return entry

    async def stored(self, feedback_id: str) -> Feedback:
        """The latest version of an entry as it is stored."""
        [entry] = await self.store.feedback_by_ids([feedback_id])
        return entry

    async def portkey(self, method: str, path: str, body: object) -> httpx.Response:
        """Call Portkey's face beside this one."""
        return await self.client.request(
            method, f"/v1/feedback{path}", json=body, headers={"x-portkey-api-key": "app"}
        )


def details(reply: httpx.Response) -> list[tuple[list[Any], str]]:
    """Place and type of all that a reply says is wrong."""
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json()
    assert set(body) == {"detail"}
    assert all(set(detail) == {"loc", "msg", "type"} for detail in body["detail"])
    assert all(detail["msg"] for detail in body["detail"])
    return [(detail["loc"], detail["type"]) for detail in body["detail"]]


def exchange(request_id: str, trace_id: str, tenant: str | None = None) -> Exchange:
    """A proxied request that went well."""
    return Exchange(
        identity=Identity(request_id=request_id, trace_id=trace_id),
        tenant=tenant,
        provider="openai",
        endpoint="chat.completions",
        method="POST",
        path="/v1/chat/completions",
        started_at_us=1,
        ended_at_us=2,
        status=200,
        outcome=Outcome.COMPLETE,
    )
