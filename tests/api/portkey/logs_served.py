"""The served face of logs as tests use it: calls over HTTP, and a look into the store behind it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import RequestRecord
from gateway.store.base import Store

from .served import as_bytes, as_headers

CHAT = "https://api.openai.com/v1/chat/completions"
ANSWER: dict[str, object] = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
LOG: dict[str, Any] = {"request": {"url": CHAT, "body": {"model": "gpt-4o"}}, "response": {"body": ANSWER}}

PATIENCE = 4000
"""How often something is looked at before it counts as not happening."""

OLDEST_FIRST = Sort("seq", descending=False)


@dataclass(frozen=True)
class LogsServed:
    """`client` sends the key of a caller that may log and read all. `folder` is where exports lie."""

    url: str
    client: httpx.AsyncClient
    store: Store
    folder: Path

    async def insert(self, body: object = LOG, **headers: str) -> httpx.Response:
        """Tell of requests. Underscores in names of headers become hyphens."""
        return await self.client.post("/logs", content=as_bytes(body), headers=as_headers(headers))

    async def log(self, body: object = LOG, **headers: str) -> list[str]:
        """Tell of requests that are taken, and return their ids once they are understood."""
        reply = await self.insert(body, **headers)
        assert reply.status_code == 200, reply.text
        ids: list[str] = reply.json()["log_ids"]
        for _ in range(PATIENCE):
            if not await self.store.uninterpreted(1):
                return ids
            await asyncio.sleep(0.005)
        raise AssertionError("the rows stayed uninterpreted")

    async def rows(self) -> list[RequestRecord]:
        """Everything that is logged."""
        return await self.store.find_requests(NO_FILTER, OLDEST_FIRST, Page(100_000), None)

    async def show(self, log_id: str, **headers: str) -> dict[str, Any]:
        """A log that is there."""
        reply = await self.client.get(f"/logs/{log_id}", headers=as_headers(headers))
        assert reply.status_code == 200, reply.text
        shown: dict[str, Any] = reply.json()
        return shown

    async def create(self, body: object, **headers: str) -> httpx.Response:
        """Describe an export."""
        return await self.client.post("/logs/exports", content=as_bytes(body), headers=as_headers(headers))

    async def made(self, columns: list[str], filters: dict[str, object] | None = None, **headers: str) -> str:
        """The id of a draft that was taken."""
        reply = await self.create({"filters": filters or {}, "requested_data": columns}, **headers)
        assert reply.status_code == 200, reply.text
        export_id: str = reply.json()["id"]
        return export_id

    async def finished(self, export_id: str, **headers: str) -> dict[str, Any]:
        """Start an export, and return it once it has ended."""
        path, sent = f"/logs/exports/{export_id}", as_headers(headers)
        started = await self.client.post(f"{path}/start", headers=sent)
        assert started.status_code == 200, started.text
        for _ in range(PATIENCE):
            export: dict[str, Any] = (await self.client.get(path, headers=sent)).json()
            if export["status"] != "in_progress":
                return export
            await asyncio.sleep(0.005)
        raise AssertionError("the export never ended")

    async def exported(
        self, columns: list[str], filters: dict[str, object] | None = None, **headers: str
    ) -> list[dict[str, Any]]:
        """What an export of these columns holds, downloaded by its link without a key."""
        export_id = await self.made(columns, filters, **headers)
        assert (await self.finished(export_id, **headers))["status"] == "success"
        reply = await self.client.get(f"/logs/exports/{export_id}/download", headers=as_headers(headers))
        async with httpx.AsyncClient(trust_env=False) as stranger:
            file = await stranger.get(reply.json()["signed_url"])
        assert file.status_code == 200
        return [json.loads(line) for line in file.content.splitlines()]
