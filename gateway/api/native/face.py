"""The native face: its paths and how it draws an error."""

from __future__ import annotations

from collections.abc import Callable

from gateway.access.allowances import Allowances
from gateway.access.keys import KeyRing
from gateway.api.native.aggregates import AggregateEndpoints
from gateway.api.native.audit import AuditEndpoints
from gateway.api.native.feedback import FeedbackEndpoints
from gateway.api.native.keys import KeyEndpoints
from gateway.api.native.replies import ErrorReply, draw_error
from gateway.api.native.requests import RequestEndpoints
from gateway.api.native.sessions import SessionEndpoints
from gateway.api.native.traces import TraceEndpoints
from gateway.api.native.users import UserEndpoints
from gateway.domain.principal import Principal
from gateway.erasing import Eraser
from gateway.feedback import FeedbackCore, Scale
from gateway.query import (
    AuditReader,
    Ranking,
    RequestReader,
    SessionReader,
    TextReader,
    TraceReader,
    UserReader,
)
from gateway.web.face import Face


def native_face(
    *,
    requests: RequestReader,
    traces: TraceReader,
    sessions: SessionReader,
    users: UserReader,
    ranking: Ranking,
    feedback: FeedbackCore,
    texts: TextReader,
    eraser: Eraser,
    audit: AuditReader,
    keys: KeyRing,
    allowances: Allowances,
    scale_of: Callable[[Principal], Scale],
    max_body_bytes: int,
) -> Face:
    """Return the face of `/api/v1`, for callers with the role `read`, with `feedback` to give it, and with `admin`
    to withdraw, to erase and to read what admins did.

    Args:
        scale_of: how a caller's values become scores.
        max_body_bytes: longest body taken.
    """
    return Face(
        name="native",
        prefixes=("/api/v1",),
        endpoints=(
            *RequestEndpoints(requests).endpoints(),
            *TraceEndpoints(traces).endpoints(),
            *SessionEndpoints(sessions).endpoints(),
            *UserEndpoints(users, eraser).endpoints(),
            *AggregateEndpoints(ranking).endpoints(),
            *FeedbackEndpoints(feedback, texts, eraser, scale_of, max_body_bytes).endpoints(),
            *AuditEndpoints(audit).endpoints(),
            *KeyEndpoints(keys, allowances).endpoints(),
        ),
        draw_error=draw_error,
        error_model=ErrorReply,
    )
