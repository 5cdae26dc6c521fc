"""The native face on a real server over a real store, and what to fill the store with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from gateway.api.native import documentation_face, native_face
from gateway.domain.exchange import Exchange, Identity, Outcome
from gateway.domain.feedback import Feedback
from gateway.domain.ids import new_id
from gateway.domain.principal import Principal, Role
from gateway.feedback import FeedbackCore
from gateway.query import RequestReader, TraceReader
from gateway.store.base import Store
from tests.api.serving import serving

MakeExchange = Callable[..., Exchange]
MakeFeedback = Callable[..., Feedback]

PRINCIPALS = {
    "reader": Principal("reader", frozenset({Role.READ})),
    "admin": Principal("admin", frozenset({Role.ADMIN})),
    "app": Principal("app", frozenset({Role.PROXY, Role.FEEDBACK})),
    "reader-a": Principal("reader-a", frozenset({Role.READ}), tenant="a"),
    "reader-b": Principal("reader-b", frozenset({Role.READ}), tenant="b"),
    "admin-b": Principal("admin-b", frozenset({Role.ADMIN}), tenant="b"),
}
"""Who is who; each one's name is its key too."""


@pytest.fixture
async def url(store: Store) -> AsyncIterator[str]:
    face = native_face(RequestReader(store), TraceReader(store), FeedbackCore(store))
    documentation = documentation_face([face], "1.2.3")
    async with serving(face, documentation, principals=PRINCIPALS, store=store) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the key of a reader of all tenants."""
    async with httpx.AsyncClient(base_url=url, headers=key("reader"), trust_env=False) as opened:
        yield opened


def key(name: str) -> dict[str, str]:
    """The header that makes a caller one of `PRINCIPALS`."""
    return {"Authorization": f"Bearer {name}"}


@pytest.fixture
def make_exchange() -> MakeExchange:
    """An exchange of which only what the test is about needs to be said."""

    def make(request_id: str | None = None, trace_id: str | None = None, **given: Any) -> Exchange:
        identity = Identity(request_id or new_id(), trace_id or new_id(), metadata=given.pop("metadata", {}))
        usual: dict[str, Any] = {
            "provider": "openai",
            "endpoint": "chat.completions",
            "method": "POST",
            "path": "/v1/chat/completions",
            "started_at_us": 1_700_000_000_000_000,
            "ended_at_us": 1_700_000_000_250_500,
            "status": 200,
            "outcome": Outcome.COMPLETE,
            "request_size": len(given.get("request_body", b"")),
            "response_size": len(given.get("response_body", b"")),
        }
        return Exchange(identity=identity, **(usual | given))

    return make


@pytest.fixture
def make_feedback() -> MakeFeedback:
    def make(subject_id: str, **given: Any) -> Feedback:
        usual: dict[str, Any] = {
            "feedback_id": new_id(),
            "dialect": "portkey",
            "raw": "{}",
            "created_at_us": 1_700_000_001_000_000,
            "updated_at_us": 1_700_000_001_000_000,
        }
        return Feedback(subject_id=subject_id, **(usual | given))

    return make
