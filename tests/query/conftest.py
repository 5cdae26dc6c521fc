"""A real store, and the exchanges and feedback to fill it with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.exchange import Exchange, Identity, Outcome
from gateway.domain.feedback import Feedback
from gateway.domain.ids import new_id
from gateway.store import open_store
from gateway.store.base import Store

MakeExchange = Callable[..., Exchange]
MakeFeedback = Callable[..., Feedback]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_store(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield opened
    await opened.close()


@pytest.fixture
def make_exchange() -> MakeExchange:
    """An exchange of which only what the test is about needs to be said."""

    def make(request_id: str | None = None, trace_id: str | None = None, **given: Any) -> Exchange:
        sizes = {
            "request_size": len(given.get("request_body", b"")),
            "response_size": len(given.get("response_body", b"")),
        }
        usual: dict[str, Any] = {
            "provider": "openai",
            "endpoint": "chat.completions",
            "method": "POST",
            "path": "/v1/chat/completions",
            "started_at_us": 1_700_000_000_000_000,
            "ended_at_us": 1_700_000_000_250_000,
            "status": 200,
            "outcome": Outcome.COMPLETE,
            **sizes,
        }
        return Exchange(identity=Identity(request_id or new_id(), trace_id or new_id()), **(usual | given))

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
