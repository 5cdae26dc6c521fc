"""The dialect's face, and Portkey's beside it, on a real server with a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from gateway.access.keys import KeyRing, hash_token
from gateway.api.pharia import pharia_face
from gateway.api.portkey import portkey_face
from gateway.domain.principal import Principal, Role
from gateway.feedback import FeedbackCore, signed
from gateway.store import open_store
from gateway.store.base import Store
from gateway.urls import build_faces
from gateway.web.guard import Guard

from .served import Served

MIB = 1024 * 1024

PRINCIPALS = {
    "app": Principal("app", frozenset({Role.FEEDBACK})),
    "admin": Principal("admin", frozenset({Role.ADMIN})),
    "reader": Principal("reader", frozenset({Role.READ, Role.PROXY})),
    "north": Principal("north", frozenset({Role.FEEDBACK}), tenant="north"),
    "north-admin": Principal("north-admin", frozenset({Role.ADMIN}), tenant="north"),
    "south-admin": Principal("south-admin", frozenset({Role.ADMIN}), tenant="south"),
}
"""Who is who; each one's name is its key too."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    await store.close()


@pytest.fixture
async def served(store: Store) -> AsyncIterator[Served]:
    keys = KeyRing({hash_token(name): principal for name, principal in PRINCIPALS.items()}, store)
    core = FeedbackCore(store)
    faces = [pharia_face(core, 16 * MIB), portkey_face(core, lambda _: signed, 16 * MIB)]
    runner = web.AppRunner(build_faces(faces, Guard(keys)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        yield Served(client, store)
    await runner.cleanup()
