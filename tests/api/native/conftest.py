"""The native face on a real server over a real store, and what to fill the store with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.models.principal import Principal, Role
from gateway.store.base import Store
from tests.api.api_server import Serve
from tests.api.native.served import face_over
from tests.factories import MakeExchange, MakeFeedback, make_exchange, make_feedback

__all__ = ["MakeExchange", "MakeFeedback", "make_exchange", "make_feedback"]

PRINCIPALS = {
    "reader": Principal("reader", frozenset({Role.READ})),
    "admin": Principal("admin", frozenset({Role.ADMIN})),
    "app": Principal("app", frozenset({Role.PROXY, Role.FEEDBACK})),
    "ann": Principal("ann", frozenset({Role.REVIEW})),
    "ben": Principal("ben", frozenset({Role.REVIEW})),
    "ben-b": Principal("ben-b", frozenset({Role.REVIEW}), tenant="b"),
    "voter": Principal("voter", frozenset({Role.FEEDBACK})),
    "thumbs": Principal("thumbs", frozenset({Role.FEEDBACK})),
    "voter-a": Principal("voter-a", frozenset({Role.FEEDBACK}), tenant="a"),
    "reader-a": Principal("reader-a", frozenset({Role.READ}), tenant="a"),
    "reader-b": Principal("reader-b", frozenset({Role.READ}), tenant="b"),
    "admin-a": Principal("admin-a", frozenset({Role.ADMIN}), tenant="a"),
    "admin-b": Principal("admin-b", frozenset({Role.ADMIN}), tenant="b"),
}
"""Who is who; each one's name is its key too."""


@pytest.fixture
async def url(store: Store, serve: Serve) -> str:
    return await serve(face_over(store), principals=PRINCIPALS, store=store)


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the key of a reader of all tenants."""
    async with httpx.AsyncClient(base_url=url, headers=key("reader"), trust_env=False) as opened:
        yield opened


def key(name: str) -> dict[str, str]:
    """The header that makes a caller one of `PRINCIPALS`."""
    return {"Authorization": f"Bearer {name}"}
