"""The web pages as one API: who reads them signs in with a gateway key."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.alerts.automation import AutomationServices
from gateway.auth.quotas import Quotas
from gateway.auth.sign_ins import SignIns
from gateway.datasets.registry import export_formats
from gateway.datasets.services import ExportServices
from gateway.experiments.reader import ExperimentReader
from gateway.feedback.service import FeedbackService
from gateway.query.readers import Readers
from gateway.query.tail import RequestTail
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.ui.alerts import AlertPages
from gateway.ui.compare import ComparePages, ExperimentPages
from gateway.ui.datasets import DatasetPages
from gateway.ui.exports import ExportPages
from gateway.ui.feedback import FeedbackPages
from gateway.ui.filters import ValuePages
from gateway.ui.overview import OverviewPages
from gateway.ui.page import PageAuth, Pages
from gateway.ui.requests import RequestPages
from gateway.ui.reviews import ReviewPages
from gateway.ui.rules import RulePages
from gateway.ui.sessions import SessionPages, UserPages
from gateway.ui.settings import GatewayStatus, SettingsPages
from gateway.ui.sign_in import SignInPages
from gateway.ui.webhooks import WebhookPages
from gateway.web.endpoint import Api, Endpoint, endpoints_of

# Pages that export what they list, with the parameters of the API.
_EXPORTS = {
    "/api/v1/requests": "/ui/requests.csv",
    "/api/v1/feedback": "/ui/feedback.csv",
    "/api/v1/export": "/ui/export",
}


def ui_api(
    sign_ins: SignIns,
    readers: Readers,
    queue: ReviewQueue,
    agreement: AgreementReader,
    tail: RequestTail,
    feedback: FeedbackService,
    quotas: Quotas,
    status: Callable[[], Awaitable[GatewayStatus]],
    automation: AutomationServices,
    exports: ExportServices,
    experiments: ExperimentReader,
    lists: Sequence[Endpoint] = (),
) -> Api:
    """Return the pages below `/ui`, and `/` which leads to them.

    Args:
        status: returns what the settings show of the running gateway.
        lists: those of the native API, which readers of pages get without a key in a header.
    """
    pages = Pages(sign_ins, readers.requests, export_formats())
    handlers = (
        SignInPages(pages),
        FeedbackPages(pages, readers, queue, feedback),
        ComparePages(pages, readers.compare),
        ExperimentPages(pages, experiments),
        AlertPages(pages, automation.alerts),
        OverviewPages(pages, readers.overview, readers.metrics),
        SessionPages(pages, readers.sessions, readers.conversations),
        UserPages(pages, readers.users, readers.feedback, readers.eraser),
        RequestPages(pages, readers, queue, tail),
        ReviewPages(pages, queue, agreement),
        DatasetPages(pages, exports),
        ExportPages(pages, exports),
        ValuePages(readers.metrics),
        SettingsPages(pages, sign_ins.keys, quotas, readers.metrics, status),
        WebhookPages(pages, automation.webhooks),
        RulePages(pages, automation.rules),
    )
    return Api(
        name="pages",
        prefixes=("/ui", "/"),
        endpoints=(
            *(replace(each, path=_EXPORTS[each.path]) for each in lists if each.path in _EXPORTS),
            *(endpoint for each in handlers for endpoint in endpoints_of(each)),
        ),
        render_error=pages.render_error,
        authenticate=PageAuth(pages),
        is_documented=False,
    )
