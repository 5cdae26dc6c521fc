"""Questions about what was logged: requests, traces, sessions, users, metrics and the audit log."""

from gateway.query.audit import AuditReader, AuditSlice
from gateway.query.groups import GroupSlice, SessionReader, TraceReader
from gateway.query.metrics import (
    ORDER_METRICS,
    GroupMetrics,
    MetricsOrder,
    MetricsPage,
    MetricsReader,
    rollup_job,
)
from gateway.query.requests import (
    LoggedRequest,
    Message,
    RatedRequest,
    RequestReader,
    RequestSlice,
    RequestTexts,
    TextReader,
)
from gateway.query.users import User, UserReader, UserSlice

__all__ = [
    "ORDER_METRICS",
    "AuditReader",
    "AuditSlice",
    "GroupMetrics",
    "GroupSlice",
    "LoggedRequest",
    "Message",
    "MetricsOrder",
    "MetricsPage",
    "MetricsReader",
    "RatedRequest",
    "RequestReader",
    "RequestSlice",
    "RequestTexts",
    "SessionReader",
    "TextReader",
    "TraceReader",
    "User",
    "UserReader",
    "UserSlice",
    "rollup_job",
]
