"""Fixtures that make what a store is filled with, of which only what a test is about needs to be said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.auth.feedback_tokens import TokenKeys
from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.feedback import Feedback
from gateway.models.ids import new_id

MakeExchange = Callable[..., Exchange]
MakeFeedback = Callable[..., Feedback]


def token_keys(secrets: Sequence[str], ttl_seconds: int) -> TokenKeys | None:
    """Return what `FeedbackTokens` takes for these secrets."""
    return TokenKeys.from_secrets(secrets, ttl_seconds)


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
