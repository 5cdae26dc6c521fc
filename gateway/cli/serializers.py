"""JSON lines and CSV with the fields of the native API; imported only when needed."""

from collections.abc import Iterable, Iterator, Mapping

import orjson

from gateway.alerts.definition import AlertView
from gateway.alerts.preview import Preview
from gateway.api.native.alerts import AlertEventShape, AlertShape, PreviewReply
from gateway.api.native.audit import AuditRow
from gateway.api.native.experiments import ExperimentShape
from gateway.api.native.feedback import FeedbackWithTexts
from gateway.api.native.http_responses import to_csv
from gateway.api.native.report import ReportReply
from gateway.api.native.reviews import AgreementReply
from gateway.api.native.rules import RuleShape
from gateway.api.native.schemas import LoggedRow, ReviewShape, logged_rows
from gateway.api.native.webhooks import DeliveryShape, WebhookShape
from gateway.experiments.results import ExperimentResult
from gateway.models.alerts import AlertEvent
from gateway.models.audit import AuditEntry
from gateway.models.feedback import Feedback, FeedbackSummary
from gateway.models.request import RequestRecord
from gateway.models.reviews import Review
from gateway.models.rules import Rule
from gateway.models.webhooks import Delivery, Webhook
from gateway.query.report import Report
from gateway.query.requests import RequestTexts
from gateway.reviews.agreement import Agreement


def feedback_lines(entries: Iterable[Feedback], texts: Mapping[str, RequestTexts]) -> Iterator[str]:
    """Return the entries as in `GET /api/v1/feedback?texts=true`, a line each."""
    return map(_json_line, _with_texts(entries, texts))


def request_lines(records: Iterable[RequestRecord], feedback: Mapping[int, FeedbackSummary]) -> Iterator[str]:
    """Return the requests as in `GET /api/v1/requests`, a line each."""
    return map(_json_line, logged_rows(records, feedback))


def audit_lines(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Return the entries as in `GET /api/v1/audit`, a line each."""
    return (_json_line(AuditRow.of(entry)) for entry in entries)


def review_lines(reviews: Iterable[Review]) -> Iterator[str]:
    """Return the reviews as in `GET /api/v1/reviews`, a line each."""
    return (_json_line(row) for review in reviews if (row := ReviewShape.of(review)) is not None)


def agreement_lines(agreement: Agreement) -> Iterator[str]:
    """Return the agreement as in `GET /api/v1/reviews/agreement`, in one line."""
    yield _json_line(AgreementReply.of(agreement))


def experiment_lines(found: Iterable[ExperimentResult]) -> Iterator[str]:
    """Return the experiments as in `GET /api/v1/experiments`, a line each."""
    return (_json_line(ExperimentShape.of(each)) for each in found)


def alert_lines(views: Iterable[AlertView]) -> Iterator[str]:
    """Return the alerts as in `GET /api/v1/alerts`, a line each."""
    return (_json_line(AlertShape.of(view)) for view in views)


def alert_event_lines(events: Iterable[AlertEvent]) -> Iterator[str]:
    """Return the events as in `GET /api/v1/alerts/events`, a line each."""
    return (_json_line(AlertEventShape.of(event)) for event in events)


def preview_lines(preview: Preview) -> Iterator[str]:
    """Return the preview as `POST /api/v1/alerts/preview` does, in one line."""
    yield _json_line(PreviewReply.of(preview))


def report_lines(report: Report) -> Iterator[str]:
    """Return the report as in `GET /api/v1/report`, in one line."""
    yield _json_line(ReportReply.of(report))


_AlertShape = (
    AlertShape | AlertEventShape | PreviewReply | ReportReply | WebhookShape | DeliveryShape | RuleShape
)


def webhook_lines(webhooks: Iterable[Webhook]) -> Iterator[str]:
    """Return the endpoints as in `GET /api/v1/webhooks`, a line each."""
    return (_json_line(WebhookShape.of(webhook)) for webhook in webhooks)


def delivery_lines(deliveries: Iterable[Delivery]) -> Iterator[str]:
    """Return the messages as in `GET /api/v1/webhooks/deliveries`, a line each."""
    return (_json_line(DeliveryShape.of(delivery)) for delivery in deliveries)


def rule_lines(rules: Iterable[tuple[Rule, int]]) -> Iterator[str]:
    """Return the rules as in `GET /api/v1/rules`, a line each."""
    return (_json_line(RuleShape.of(rule, matched)) for rule, matched in rules)


class RequestCsv:
    """Requests as the CSV of `GET /api/v1/requests`, batch after batch."""

    def __init__(self) -> None:
        self._has_head = True

    def lines(self, rows: Iterable[RequestRecord], feedback: Mapping[int, FeedbackSummary]) -> Iterator[str]:
        """Return a batch as one text; the first begins with the names of the columns."""
        text = to_csv(LoggedRow, logged_rows(rows, feedback), has_header=self._has_head)
        self._has_head = False
        if text:
            yield text.removesuffix("\n")


def feedback_csv(entries: Iterable[Feedback], texts: Mapping[str, RequestTexts]) -> Iterator[str]:
    """Return the entries as the CSV of `GET /api/v1/feedback?texts=true`, as one text."""
    yield to_csv(FeedbackWithTexts, _with_texts(entries, texts)).removesuffix("\n")


def _with_texts(given: Iterable[Feedback], texts: Mapping[str, RequestTexts]) -> Iterator[FeedbackWithTexts]:
    return (FeedbackWithTexts.with_texts(entry, texts.get(entry.feedback_id)) for entry in given)


def _json_line(
    shape: LoggedRow
    | FeedbackWithTexts
    | AuditRow
    | ReviewShape
    | AgreementReply
    | _AlertShape
    | ExperimentShape,
) -> str:
    return orjson.dumps(shape.model_dump()).decode()
