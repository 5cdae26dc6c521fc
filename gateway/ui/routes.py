"""The web pages as one API: who reads them signs in with a gateway key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.auth.quotas import Quotas
from gateway.auth.sign_ins import SignIns
from gateway.feedback.service import FeedbackService
from gateway.query.conversation import ConversationReader
from gateway.query.feedback import FeedbackReader
from gateway.query.groups import SessionReader, TraceReader
from gateway.query.metrics import MetricsReader
from gateway.query.receipt import ReceiptReader
from gateway.query.requests import RequestReader, TextReader
from gateway.query.search import SearchReader
from gateway.query.users import UserReader
from gateway.ui.feedback import FeedbackPages
from gateway.ui.page import PageAuth, Pages
from gateway.ui.requests import RequestPages
from gateway.ui.settings import GatewayStatus, SettingsPages
from gateway.ui.sign_in import SignInPages
from gateway.web.endpoint import Api, endpoints_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReaders:
    """What pages ask for their content."""

    requests: RequestReader
    traces: TraceReader
    sessions: SessionReader
    users: UserReader
    metrics: MetricsReader
    feedback: FeedbackReader
    texts: TextReader
    words: SearchReader
    conversations: ConversationReader
    receipts: ReceiptReader


def ui_api(
    sign_ins: SignIns,
    readers: PageReaders,
    feedback: FeedbackService,
    quotas: Quotas,
    status: Callable[[], Awaitable[GatewayStatus]],
) -> Api:
    """Return the pages below `/ui`, and `/` which leads to them.

    Args:
        status: returns what the settings show of the running gateway.
    """
    pages = Pages(sign_ins)
    handlers = (
        SignInPages(pages),
        FeedbackPages(pages, readers.feedback, readers.texts, readers.requests, feedback),
        RequestPages(pages, readers.requests, readers.traces),
        SettingsPages(pages, sign_ins.keys, quotas, readers.metrics, status),
    )
    return Api(
        name="pages",
        prefixes=("/ui", "/"),
        endpoints=tuple(endpoint for each in handlers for endpoint in endpoints_of(each)),
        render_error=pages.render_error,
        authenticate=PageAuth(sign_ins),
        is_documented=False,
    )
