"""Helicone's face on a real server with a real store, called over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from gateway.access.keys import KeyRing, hash_token
from gateway.api.helicone import helicone_face
from gateway.domain.principal import Principal, Role
from gateway.feedback.standing import StandingVotes
from gateway.query import JudgedRequests
from gateway.store import open_store
from gateway.store.base import Store
from gateway.web.guard import Guard

from .served import Served

MIB = 1024 * 1024

KEYS = {
    "all": Principal("all", frozenset({Role.ADMIN})),
    "voter": Principal("voter", frozenset({Role.FEEDBACK})),
    "reader": Principal("reader", frozenset({Role.READ})),
    "proxy": Principal("proxy", frozenset({Role.PROXY})),
    "north": Principal("north", frozenset({Role.ADMIN}), tenant="north"),
    "south": Principal("south", frozenset({Role.ADMIN}), tenant="south"),
}
"""Who is who, by key."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    await store.close()


@pytest.fixture
async def served(store: Store) -> AsyncIterator[Served]:
    keys = KeyRing({hash_token(token): principal for token, principal in KEYS.items()}, store)
    app = web.Application()
    face = helicone_face(StandingVotes(store, 3600), store, JudgedRequests(store), 16 * MIB)
    Guard(keys).add_routes(app, face)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/request"
    headers = {"x-api-key": "all"}
    async with httpx.AsyncClient(base_url=url, headers=headers, verify=False, timeout=30) as client:
        yield Served(client, store)
    await runner.cleanup()
