"""The dialect's face, and Portkey's beside it, on a real server with a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.api.pharia.feedback import pharia_api
from gateway.api.portkey.feedback import portkey_feedback_api
from gateway.feedback.payloads import signed_scale
from gateway.feedback.service import FeedbackService
from gateway.models.principal import Principal, Role
from gateway.store.base import Store
from tests.api.api_server import MIB, Serve

from .served import Served

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
async def served(store: Store, serve: Serve) -> AsyncIterator[Served]:
    core = FeedbackService(store)
    apis = (pharia_api(core, 16 * MIB), portkey_feedback_api(core, lambda _: signed_scale, 16 * MIB))
    url = await serve(*apis, principals=PRINCIPALS, store=store)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        yield Served(client, store)
