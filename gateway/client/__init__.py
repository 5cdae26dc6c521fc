"""A client for applications: give feedback on what went through a gateway, and read what was logged.

`calls.py` says what goes over the wire and reads the replies, without doing I/O; `retrying.py` says when to
try again. The two clients put both on httpx, one blocking, one for asyncio. Imports nothing of the gateway
but how ids are made, so that it can be used in any program.
"""

from gateway.client.calls import FeedbackEntry, NewFeedback, RequestFilters
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
    Body,
    Feedback,
    FeedbackReceipt,
    GivenFeedback,
    Header,
    LoggedRequest,
    Message,
    RequestDetail,
    Score,
    Trace,
)

__all__ = [
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
    "NewFeedback",
    "NotFound",
    "RequestDetail",
    "RequestFilters",
    "Score",
    "TimedOut",
    "Trace",
    "Unauthorized",
    "Unavailable",
    "UnexpectedReply",
]
