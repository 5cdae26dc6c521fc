"""The web pages as one API: who reads them signs in with a gateway key."""

from dataclasses import dataclass

from gateway.auth.sign_ins import SignIns
from gateway.feedback.service import FeedbackService
from gateway.query.feedback import FeedbackReader
from gateway.query.groups import SessionReader, TraceReader
from gateway.query.metrics import MetricsReader
from gateway.query.requests import RequestReader, TextReader
from gateway.query.users import UserReader
from gateway.ui.feedback import FeedbackPages
from gateway.ui.page import PageAuth, Pages
from gateway.ui.requests import RequestPages
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


def ui_api(sign_ins: SignIns, readers: PageReaders, feedback: FeedbackService) -> Api:
    """Return the pages below `/ui`, and `/` which leads to them."""
    pages = Pages(sign_ins)
    handlers = (
        SignInPages(pages),
        FeedbackPages(pages, readers.feedback, readers.texts, readers.requests, feedback),
        RequestPages(pages, readers.requests, readers.traces),
    )
    return Api(
        name="pages",
        prefixes=("/ui", "/"),
        endpoints=tuple(endpoint for each in handlers for endpoint in endpoints_of(each)),
        render_error=pages.render_error,
        authenticate=PageAuth(sign_ins),
    )
