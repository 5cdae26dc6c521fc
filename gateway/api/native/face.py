"""The native face: its paths and how it draws an error."""

from __future__ import annotations

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
from gateway.erasing import Eraser
from gateway.feedback import FeedbackCore
from gateway.query import AuditReader, Ranking, RequestReader, SessionReader, TraceReader, UserReader
from gateway.web.face import Face


def native_face(
    *,
    requests: RequestReader,
    traces: TraceReader,
    sessions: SessionReader,
    users: UserReader,
    ranking: Ranking,
    feedback: FeedbackCore,
    eraser: Eraser,
    audit: AuditReader,
    keys: KeyRing,
    allowances: Allowances,
) -> Face:
    """Return the face of `/api/v1`, for callers with the role `read`, and `admin` to withdraw, to erase and
    to read what admins did."""
    return Face(
        name="native",
        prefixes=("/api/v1",),
        endpoints=(
            *RequestEndpoints(requests).endpoints(),
            *TraceEndpoints(traces).endpoints(),
            *SessionEndpoints(sessions).endpoints(),
            *UserEndpoints(users, eraser).endpoints(),
            *AggregateEndpoints(ranking).endpoints(),
            *FeedbackEndpoints(feedback, eraser).endpoints(),
            *AuditEndpoints(audit).endpoints(),
            *KeyEndpoints(keys, allowances).endpoints(),
        ),
        draw_error=draw_error,
        error_model=ErrorReply,
    )
