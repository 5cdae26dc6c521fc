"""A client for applications: give feedback on requests, and read what was logged.

Imports nothing of the gateway but `models.ids`, so that any program can use it.
"""

from gateway.client.calls import FeedbackEntry, NewFeedback, RequestFilters, ReviewFilters
from gateway.client.errors import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    GatewayClientError,
    InvalidRequest,
    NotFound,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
)
from gateway.client.gateway_client import AsyncGatewayClient, GatewayClient
from gateway.client.models import (
    Agreement,
    Body,
    Feedback,
    FeedbackReceipt,
    GivenFeedback,
    Header,
    LoggedRequest,
    Message,
    NamedRecord,
    NextReview,
    RequestDetail,
    Review,
    Score,
    SearchHit,
    SearchPage,
    TextMatch,
    Trace,
)

__all__ = [
    "Agreement",
    "AsyncGatewayClient",
    "Body",
    "Conflict",
    "ConnectionFailed",
    "Feedback",
    "FeedbackEntry",
    "FeedbackReceipt",
    "Forbidden",
    "GatewayClient",
    "GatewayClientError",
    "GivenFeedback",
    "Header",
    "InvalidRequest",
    "LoggedRequest",
    "Message",
    "NamedRecord",
    "NewFeedback",
    "NextReview",
    "NotFound",
    "RequestDetail",
    "RequestFilters",
    "Review",
    "ReviewFilters",
    "Score",
    "SearchHit",
    "SearchPage",
    "TextMatch",
    "TimedOut",
    "Trace",
    "Unauthorized",
    "Unavailable",
    "UnexpectedReply",
]
