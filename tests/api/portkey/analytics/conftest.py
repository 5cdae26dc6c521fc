"""Portkey's analytics on a real server with a real store, called over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.api.portkey.analytics import portkey_analytics_api
from gateway.models.principal import Principal, Role
from gateway.query.metrics import MetricsReader
from gateway.store.base import Store
from tests.api.api_server import Serve

from .served import Served

KEYS = {
    "read-key": Principal("reader", frozenset({Role.READ})),
    "app-key": Principal("app", frozenset({Role.PROXY, Role.FEEDBACK})),
    "north-key": Principal("north", frozenset({Role.READ}), tenant="north"),
    "south-key": Principal("south", frozenset({Role.READ}), tenant="south"),
}


@pytest.fixture
async def served(store: Store, serve: Serve) -> AsyncIterator[Served]:
    api = portkey_analytics_api(MetricsReader(store))
    headers = {"x-portkey-api-key": "read-key"}
    url = await serve(api, principals=KEYS, store=store)
    async with httpx.AsyncClient(base_url=f"{url}/v1/analytics", headers=headers, trust_env=False) as client:
        yield Served(client, store)
