"""Helicone API: feedback, scores, properties, request queries and log import."""

from __future__ import annotations

from gateway.api.helicone.feedback import DIALECT, FeedbackEndpoints
from gateway.api.helicone.requests import RequestEndpoints
from gateway.api.helicone.schemas import ErrorReply, render_error
from gateway.feedback.rules import UpsertRule
from gateway.query import RatedRequestReader
from gateway.store.base import RequestLog
from gateway.web.endpoint import Api

__all__ = ["helicone_api"]


def helicone_api(
    upserts: UpsertRule, tags: RequestLog, requests: RatedRequestReader, max_body_bytes: int
) -> Api:
    """Return Helicone's face.

    Args:
        max_body_bytes: longest body taken.
    """
    return Api(
        name=DIALECT,
        prefixes=("/v1/request",),
        endpoints=(
            *FeedbackEndpoints(upserts, tags, max_body_bytes).endpoints(),
            *RequestEndpoints(requests, max_body_bytes).endpoints(),
        ),
        render_error=render_error,
        error_model=ErrorReply,
    )
