"""Helicone's face on a real server with a real store, called over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.api.helicone import helicone_api
from gateway.feedback.service import FeedbackService
from gateway.models.principal import Principal, Role
from gateway.query.requests import RequestReader
from gateway.store.base import Store
from tests.api.api_server import MIB, Serve

from .samples import Rows, fill
from .served import Served

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
async def served(store: Store, serve: Serve) -> AsyncIterator[Served]:
    api = helicone_api(FeedbackService(store), store.set_property, RequestReader(store), 16 * MIB)
    headers = {"x-api-key": "all"}
    url = await serve(api, principals=KEYS, store=store)
    async with httpx.AsyncClient(
        base_url=f"{url}/v1/request", headers=headers, trust_env=False, timeout=30
    ) as client:
        yield Served(client, store)


@pytest.fixture
async def rows(served: Served) -> Rows:
    """Fifty requests of all sorts that were logged, as they are answered."""
    return await fill(served)
