"""LangSmith's API: feedback under `/langsmith`, and the import of its runs and feedback."""

from gateway.api.langsmith.feedback import DIALECT, ErrorReply, FeedbackEndpoints, render_error
from gateway.api.langsmith.tokens import TokenEndpoints
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.feedback.service import FeedbackService
from gateway.web.endpoint import Api, Tag, endpoints_of


def langsmith_api(service: FeedbackService, tokens: FeedbackTokens, max_body_bytes: int) -> Api:
    """Return the API of `/langsmith`."""
    return Api(
        name=DIALECT,
        tag=Tag("LangSmith", "Feedback on runs as LangSmith's SDKs give, read, change and delete it."),
        prefixes=("/langsmith",),
        endpoints=(
            *endpoints_of(FeedbackEndpoints(service, max_body_bytes)),
            *endpoints_of(TokenEndpoints(service, tokens, max_body_bytes)),
        ),
        render_error=render_error,
        error_model=ErrorReply,
        takes_basic_auth=True,
    )
