"""Exchanges, facts and votes to fill a store with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Comparison, Filter, Op, Page, Sort
from gateway.models.request import Cost, Facts, RequestRecord, Usage
from gateway.store.base import Store

OLDEST_FIRST = Sort("seq", descending=False)

FACTS = Facts(
    requested_model="gpt-4o",
    model="gpt-4o-2024-08-06",
    usage=Usage(
        prompt_tokens=12, completion_tokens=34, cached_tokens=5, cache_write_tokens=0, reasoning_tokens=7
    ),
    cost=Cost(nanousd=1_250_000, price_version="2025-01"),
    response_id="chatcmpl-1",
    finish_reason="stop",
    note="a note",
)


def exchange(
    request_id: str = "request-1",
    trace_id: str = "trace-1",
    *,
    metadata: Mapping[str, object] | None = None,
    started_at_us: int = 1_700_000_000_000_000,
    **others: Any,
) -> Exchange:
    """A proxied chat completion that went well, a quarter of a second long."""
    given: dict[str, Any] = {
        "identity": Identity(request_id, trace_id, metadata=metadata or {}),
        "provider": "openai",
        "endpoint": "chat.completions",
        "method": "POST",
        "path": "/v1/chat/completions",
        "started_at_us": started_at_us,
        "ended_at_us": started_at_us + 250_000,
        "status": 200,
        "outcome": Outcome.COMPLETE,
        "request_headers": ((b"Content-Type", b"application/json"),),
        "request_body": b'{"model":"gpt-4o"}',
        "request_size": 18,
        "response_headers": ((b"content-type", b"application/json"),),
        "response_body": b'{"id":"chatcmpl-1"}',
        "response_size": 19,
    }
    return Exchange(**{**given, **others})


def feedback(feedback_id: str = "feedback-1", subject_id: str = "trace-1", **others: Any) -> Feedback:
    """A vote of 5 with the score 0.5 that waits for its subject."""
    given: dict[str, Any] = {
        "value": 5.0,
        "score": 0.5,
        "dialect": "native",
        "raw": '{"value":5}',
        "created_at_us": 1_700_000_001_000_000,
        "updated_at_us": 1_700_000_001_000_000,
    }
    return Feedback(feedback_id=feedback_id, subject_id=subject_id, **{**given, **others})


async def requests_of(
    store: Store, where: Filter = NO_FILTER, *, tenant: str | None = None
) -> list[RequestRecord]:
    """All matching rows in the order in which they were stored."""
    return await store.find_requests(where, OLDEST_FIRST, Page(limit=100_000), tenant)


async def request_of(store: Store, seq: int) -> RequestRecord:
    """The row with this seq."""
    [record] = await requests_of(store, Comparison("seq", Op.EQ, seq))
    return record


async def entry(store: Store, feedback_id: str = "feedback-1") -> Feedback:
    """The latest version of an entry that must be there."""
    [found] = await store.feedback_by_ids([feedback_id])
    return found
