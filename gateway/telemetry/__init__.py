"""Telemetry: OpenTelemetry spans of requests and events of feedback; feedback to Phoenix and MLflow, which take no
events. Prompts, answers and comments are exported only if configured."""

from collections.abc import Mapping
from typing import Literal

from gateway.store.base import FeedbackStore
from gateway.telemetry.feedback_export import AnnotationLookup, FeedbackExport
from gateway.telemetry.reporter import DeliveryLog, Reporter, open_reporter

__all__ = ["FeedbackExport", "Reporter", "open_feedback_export", "open_reporter"]


def open_feedback_export(
    to: Literal["phoenix", "mlflow"],
    url: str,
    headers: Mapping[str, str],
    project: str,
    store: FeedbackStore,
    *,
    has_text: bool,
) -> FeedbackExport:
    """Return the export to the API at `url`. `has_text`: labels and comments on requests kept in full too."""
    # Its HTTP client takes a tenth of a second to import.
    from gateway.telemetry.receivers import MLflow, Phoenix

    receiver = Phoenix(url, headers, project) if to == "phoenix" else MLflow(url, headers)
    return FeedbackExport(receiver, AnnotationLookup(store, has_text=has_text), DeliveryLog("feedback", url))
