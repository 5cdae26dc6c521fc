"""Readers: everything that APIs and pages ask, over one store."""

from dataclasses import dataclass

from gateway.query.audit import AuditReader
from gateway.query.compare import CompareReader
from gateway.query.conversation import ConversationReader
from gateway.query.erasure import ErasureService, Journal
from gateway.query.feedback import FeedbackReader
from gateway.query.groups import SessionReader, TraceReader
from gateway.query.metrics import MetricsReader
from gateway.query.overview import OverviewReader
from gateway.query.receipt import ReceiptReader
from gateway.query.report import ReportReader
from gateway.query.requests import RequestReader, TextReader
from gateway.query.search import SearchReader
from gateway.query.users import UserReader
from gateway.store.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """One reader of each kind."""

    requests: RequestReader
    texts: TextReader
    conversations: ConversationReader
    receipts: ReceiptReader
    traces: TraceReader
    sessions: SessionReader
    users: UserReader
    feedback: FeedbackReader
    metrics: MetricsReader
    compare: CompareReader
    overview: OverviewReader
    report: ReportReader
    search: SearchReader
    audit: AuditReader
    eraser: ErasureService

    @classmethod
    def over(
        cls,
        store: Store,
        receipts: ReceiptReader,
        search_seconds: float,
        journal: Journal,
    ) -> "Readers":
        """Return the readers of a store.

        Args:
            search_seconds: most that one search may take.
            journal: what is not in the store yet.
        """
        return cls(
            requests=RequestReader(store),
            texts=TextReader(store),
            conversations=ConversationReader(store),
            receipts=receipts,
            traces=TraceReader(store),
            sessions=SessionReader(store),
            users=UserReader(store),
            feedback=FeedbackReader(store),
            metrics=MetricsReader(store),
            compare=CompareReader(store),
            overview=OverviewReader(store),
            report=ReportReader(store),
            search=SearchReader(store, search_seconds),
            audit=AuditReader(store),
            eraser=ErasureService(store, journal),
        )
