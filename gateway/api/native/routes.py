"""Routes of the native API, and the tags of its endpoints."""

from collections.abc import Callable

from gateway.alerts.automation import AutomationServices
from gateway.api.native.alerts import AlertEndpoints
from gateway.api.native.audit import AuditEndpoints
from gateway.api.native.compare import CompareEndpoints
from gateway.api.native.conversation import ConversationEndpoints
from gateway.api.native.datasets import DatasetEndpoints
from gateway.api.native.experiments import ExperimentEndpoints
from gateway.api.native.exports import ExportEndpoints
from gateway.api.native.feedback import FeedbackEndpoints
from gateway.api.native.groups import GroupEndpoints
from gateway.api.native.http_responses import NO_STORE_HEADERS, ErrorReply, render_error
from gateway.api.native.keys import KeyEndpoints
from gateway.api.native.metrics import AggregateEndpoints
from gateway.api.native.overview import OverviewEndpoints
from gateway.api.native.report import ReportEndpoints
from gateway.api.native.requests import RequestEndpoints
from gateway.api.native.reviews import ReviewEndpoints
from gateway.api.native.rules import RuleEndpoints
from gateway.api.native.search import SearchEndpoints
from gateway.api.native.tail import TailEndpoints
from gateway.api.native.users import UserEndpoints
from gateway.api.native.webhooks import WebhookEndpoints
from gateway.auth.api_keys import ApiKeys
from gateway.auth.quotas import Quotas
from gateway.datasets.services import ExportServices
from gateway.experiments.reader import ExperimentReader
from gateway.feedback.payloads import Scale
from gateway.feedback.service import FeedbackService
from gateway.models.principal import Principal
from gateway.query.readers import Readers
from gateway.query.tail import RequestTail
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.web.endpoint import Api, Tag, endpoints_of

FEEDBACK = Tag(
    "Feedback", "Say how good an answer was, by any id you hold; list, read and withdraw what was said."
)
REQUESTS = Tag(
    "Requests", "What was asked of which model, what came back, how long it took and what it cost."
)
CONVERSATIONS = Tag("Conversations", "Requests and sessions as messages, whatever the provider; receipts.")
TRACES = Tag("Traces and Sessions", "Requests that belong together, with all feedback on them.")
SEARCH = Tag(
    "Search", "Find requests and feedback by any id, or by words in questions, answers and comments."
)
USERS = Tag("Users", "What each user asked, spent and said; erase a user.")
METRICS = Tag("Metrics", "Figures over many requests: by any field, side by side, and over time.")
ALERTS = Tag("Alerts", "Rules on measures of requests and feedback, where they stand, and their events.")
AUDIT = Tag("Audit", "Who changed what with which key.")
REVIEWS = Tag("Reviews", "Share out disliked answers among reviewers, and see how far they agree.")
EXPORTS = Tag(
    "Exports", "Requests with their feedback as files, at once or by jobs; datasets and their versions."
)
KEYS = Tag("Keys", "API keys, their roles and what they have used.")

RULES = Tag("Rules", "Label, review, send on or delete early what matches a filter, by itself.")
WEBHOOKS = Tag("Webhooks", "Notify other systems of feedback, requests, alerts and exports.")


def native_api(
    readers: Readers,
    feedback: FeedbackService,
    tail: RequestTail,
    keys: ApiKeys,
    quotas: Quotas,
    scale_of: Callable[[Principal], Scale],
    max_body_bytes: int,
    reviews: ReviewQueue,
    agreement: AgreementReader,
    exports: ExportServices,
    automation: AutomationServices,
    experiments: ExperimentReader,
) -> Api:
    """Return the API of `/api/v1`.

    Args:
        scale_of: returns how a caller's values become scores.
    """
    handlers: tuple[tuple[Tag, object], ...] = (
        (
            FEEDBACK,
            FeedbackEndpoints(
                feedback, readers.feedback, readers.texts, readers.eraser, scale_of, max_body_bytes
            ),
        ),
        # Before those of one request or session, whose ids may hold slashes.
        (REQUESTS, TailEndpoints(tail, keys)),
        (CONVERSATIONS, ConversationEndpoints(readers.conversations, readers.requests, readers.receipts)),
        (REQUESTS, RequestEndpoints(readers.requests, reviews)),
        (REVIEWS, ReviewEndpoints(reviews, agreement, readers.requests, max_body_bytes)),
        (TRACES, GroupEndpoints(readers.traces, readers.sessions)),
        (SEARCH, SearchEndpoints(readers.search)),
        (USERS, UserEndpoints(readers.users, readers.eraser)),
        (METRICS, AggregateEndpoints(readers.metrics)),
        (METRICS, CompareEndpoints(readers.compare)),
        (METRICS, OverviewEndpoints(readers.overview)),
        (METRICS, ExperimentEndpoints(experiments)),
        (EXPORTS, ExportEndpoints(exports, max_body_bytes)),
        (EXPORTS, DatasetEndpoints(exports, max_body_bytes)),
        (METRICS, ReportEndpoints(readers.report)),
        (ALERTS, AlertEndpoints(automation.alerts, max_body_bytes)),
        (AUDIT, AuditEndpoints(readers.audit)),
        (KEYS, KeyEndpoints(keys, quotas)),
        (WEBHOOKS, WebhookEndpoints(automation.webhooks, max_body_bytes)),
        (RULES, RuleEndpoints(automation.rules, max_body_bytes)),
    )
    endpoints = (
        endpoint
        for tag, each in handlers
        for endpoint in endpoints_of(each, headers=NO_STORE_HEADERS, tag=tag)
    )
    return Api(
        name="native",
        prefixes=("/api/v1",),
        endpoints=tuple(endpoints),
        render_error=render_error,
        error_model=ErrorReply,
    )
