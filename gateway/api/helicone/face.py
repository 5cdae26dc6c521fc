"""Helicone's face: its paths and how it draws an error."""

from __future__ import annotations

from gateway.api.helicone.feedback import DIALECT, VerdictEndpoints
from gateway.api.helicone.replies import ErrorReply, draw_error
from gateway.api.helicone.requests import RequestEndpoints
from gateway.feedback.standing import StandingVotes
from gateway.query import JudgedRequests
from gateway.store.base import RequestTags
from gateway.web.face import Face


def helicone_face(
    votes: StandingVotes, tags: RequestTags, requests: JudgedRequests, max_body_bytes: int
) -> Face:
    """Return Helicone's face.

    Args:
        max_body_bytes: longest body taken.
    """
    return Face(
        name=DIALECT,
        prefixes=("/v1/request",),
        endpoints=(
            *VerdictEndpoints(votes, tags, max_body_bytes).endpoints(),
            *RequestEndpoints(requests, max_body_bytes).endpoints(),
        ),
        draw_error=draw_error,
        error_model=ErrorReply,
    )
