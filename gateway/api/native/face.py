"""The native face: its paths and how it draws an error."""

from __future__ import annotations

from gateway.api.native.feedback import FeedbackEndpoints
from gateway.api.native.replies import ErrorReply, draw_error
from gateway.api.native.requests import RequestEndpoints
from gateway.api.native.traces import TraceEndpoints
from gateway.feedback import FeedbackCore
from gateway.query import RequestReader, TraceReader
from gateway.web.face import Face


def native_face(requests: RequestReader, traces: TraceReader, feedback: FeedbackCore) -> Face:
    """Return the face of `/api/v1`, for callers with the role `read`, and `admin` to withdraw feedback."""
    return Face(
        name="native",
        prefixes=("/api/v1",),
        endpoints=(
            *RequestEndpoints(requests).endpoints(),
            *TraceEndpoints(traces).endpoints(),
            *FeedbackEndpoints(feedback).endpoints(),
        ),
        draw_error=draw_error,
        error_model=ErrorReply,
    )
