"""Portkey's face on a real server with a real store, called over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from gateway.access.keys import KeyRing, hash_token
from gateway.api.portkey import portkey_face
from gateway.domain.principal import Principal, Role
from gateway.feedback import FeedbackCore, Scale, signed, thumbs
from gateway.store import open_store
from gateway.store.base import Store
from gateway.web.guard import Guard

from .served import Served

MIB = 1024 * 1024

KEYS = {
    "app-key": Principal("app", frozenset({Role.FEEDBACK})),
    "proxy-key": Principal("proxy", frozenset({Role.PROXY, Role.READ})),
    "north-key": Principal("north", frozenset({Role.FEEDBACK}), tenant="north"),
    "south-key": Principal("south", frozenset({Role.FEEDBACK}), tenant="south"),
    "thumbs-key": Principal("thumbs", frozenset({Role.FEEDBACK})),
}


def scale_of(principal: Principal) -> Scale:
    return thumbs if principal.name == "thumbs" else signed


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    await store.close()


@pytest.fixture
async def served(store: Store) -> AsyncIterator[Served]:
    keys = KeyRing({hash_token(token): principal for token, principal in KEYS.items()}, store)
    app = web.Application()
    Guard(keys).add_routes(app, portkey_face(FeedbackCore(store), scale_of, 16 * MIB))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    headers = {"x-portkey-api-key": "app-key"}
    async with httpx.AsyncClient(base_url=url, headers=headers, verify=False) as client:
        yield Served(url, client, store)
    await runner.cleanup()
