"""Helicone's API: ratings, scores, properties and queries of requests, and the import of its exports."""

from gateway.api.helicone.feedback import DIALECT, FeedbackEndpoints, SetProperty
from gateway.api.helicone.requests import RequestEndpoints
from gateway.api.helicone.schemas import ErrorReply, render_error
from gateway.feedback.service import FeedbackService
from gateway.query.requests import RequestReader
from gateway.web.endpoint import Api, Tag, endpoints_of


def helicone_api(
    feedback: FeedbackService, set_property: SetProperty, requests: RequestReader, max_body_bytes: int
) -> Api:
    """Return the API of `/v1/request`."""
    return Api(
        name=DIALECT,
        tag=Tag("Helicone", "Rate, score, tag and query requests as clients of Helicone do."),
        prefixes=("/v1/request",),
        endpoints=(
            *endpoints_of(FeedbackEndpoints(feedback, set_property, max_body_bytes)),
            *endpoints_of(RequestEndpoints(requests, max_body_bytes)),
        ),
        render_error=render_error,
        error_model=ErrorReply,
    )
