"""Questions about what was logged: which requests, what was in one, what belongs to a trace.

Holds what it takes to answer them from the store and the wire formats: paging that stays put while rows are
added, bodies made readable, streams put together again, scores summed up; and in `exports`, what it takes to
write them to files. Knows neither HTTP nor SQL; a face brings the filter and the caller's tenant. Used by the
read side of every face and by the web page.
"""

from gateway.query.audit import AuditReader, AuditSlice
from gateway.query.figures import Figures
from gateway.query.groups import GroupSlice
from gateway.query.judged import JudgedRequest, JudgedRequests
from gateway.query.ranking import MEASURES, Order, Ranked, Ranking
from gateway.query.requests import LoggedRequest, Message, RequestReader, Slice
from gateway.query.rolling import rolling_up
from gateway.query.sessions import SessionReader
from gateway.query.texts import TextReader, Texts
from gateway.query.traces import TraceReader
from gateway.query.users import User, UserReader, UserSlice

__all__ = [
    "MEASURES",
    "AuditReader",
    "AuditSlice",
    "Figures",
    "GroupSlice",
    "JudgedRequest",
    "JudgedRequests",
    "LoggedRequest",
    "Message",
    "Order",
    "Ranked",
    "Ranking",
    "RequestReader",
    "SessionReader",
    "Slice",
    "TextReader",
    "Texts",
    "TraceReader",
    "User",
    "UserReader",
    "UserSlice",
    "rolling_up",
]
