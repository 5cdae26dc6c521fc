"""What is told to OpenTelemetry: a span for each proxied request, an event for each version of feedback; and to
Phoenix or MLflow, which take no events: feedback by their own APIs.

Follows the semantic conventions for generative AI. Tells figures and names; prompts, answers and comments only if
asked to. The SDK is imported only where an endpoint is configured; it comes with the extra `otel`.
"""

from __future__ import annotations

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
    """Return what brings feedback to a receiver.

    Args:
        to: what it is.
        url: its base URL.
        headers: fields that it wants, such as a key.
        project: of Phoenix.
        store: where feedback and what it is about are looked up.
        has_text: whether it is told words of voters, where the requests that they judge are kept whole.
    """
    # Its HTTP client takes a tenth of a second to import, for which those who do not use it need not wait.
    from gateway.telemetry.receivers import MLflow, Phoenix

    receiver = Phoenix(url, headers, project) if to == "phoenix" else MLflow(url, headers)
    return FeedbackExport(receiver, AnnotationLookup(store, has_text=has_text), DeliveryLog("feedback", url))
