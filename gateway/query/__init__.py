"""Questions about what was logged: which requests, what was in one, what belongs to a trace.

Holds what it takes to answer them from the store and the wire formats: paging that stays put while rows are
added, bodies made readable, streams put together again, scores summed up; and in `exports`, what it takes to
write them to files. Knows neither HTTP nor SQL; a face brings the filter and the caller's tenant. Used by the
read side of every face and by the web page.
"""

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
    RatedRequestReader,
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
    "RatedRequestReader",
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
