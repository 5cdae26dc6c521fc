"""Portkey's face on a real server with a real store, called over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.api.portkey import portkey_face
from gateway.domain.principal import Principal, Role
from gateway.feedback import FeedbackCore, Scale, signed, thumbs
from gateway.store.base import Store
from tests.api.serving import MIB, serving

from .served import Served

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
async def served(store: Store) -> AsyncIterator[Served]:
    face = portkey_face(FeedbackCore(store), scale_of, 16 * MIB)
    headers = {"x-portkey-api-key": "app-key"}
    async with (
        serving(face, principals=KEYS, store=store) as url,
        httpx.AsyncClient(base_url=f"{url}/v1", headers=headers, trust_env=False) as client,
    ):
        yield Served(f"{url}/v1", client, store)
