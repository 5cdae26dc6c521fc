"""Votes, logged requests and callers to test with."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.feedback.payloads import FeedbackRevision, NewFeedback, Scale, signed_scale
from gateway.models.exchange import Exchange, Identity, Outcome
from gateway.models.principal import Principal, Role

ROLES = frozenset({Role.FEEDBACK})
APP = Principal("app", ROLES)
NORTH = Principal("north", ROLES, tenant="north")
SOUTH = Principal("south", ROLES, tenant="south")


def vote(
    subject_id: str = "trace-1",
    value: float | None = 5.0,
    *,
    weight: float = 1.0,
    scale: Scale = signed_scale,
    metadata: Mapping[str, object] | None = None,
    feedback_id: str | None = None,
) -> NewFeedback:
    """A vote whose raw JSON says what its fields say."""
    said = {"about": subject_id, "value": value, "weight": weight, "metadata": metadata}
    return NewFeedback(
        subject_id=subject_id,
        value=value,
        weight=weight,
        scale=scale,
        metadata=metadata or {},
        raw=json.dumps(said),
        feedback_id=feedback_id,
    )


def change(
    value: float | None = None,
    *,
    weight: float | None = None,
    metadata: Mapping[str, object] | None = None,
    scale: Scale = signed_scale,
) -> FeedbackRevision:
    """A change whose raw JSON says what its fields say."""
    said = {"value": value, "weight": weight, "metadata": metadata}
    return FeedbackRevision(value=value, weight=weight, metadata=metadata, scale=scale, raw=json.dumps(said))


def exchange(
    request_id: str = "request-1",
    trace_id: str = "trace-1",
    tenant: str | None = None,
    started_at_us: int = 1_000_000,
) -> Exchange:
    """A proxied request that went well."""
    return Exchange(
        identity=Identity(request_id=request_id, trace_id=trace_id),
        tenant=tenant,
        provider="openai",
        endpoint="chat.completions",
        method="POST",
        path="/v1/chat/completions",
        started_at_us=started_at_us,
        ended_at_us=started_at_us + 1,
        status=200,
        outcome=Outcome.COMPLETE,
    )
