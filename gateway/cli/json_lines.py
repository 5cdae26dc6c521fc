"""Rows as JSON lines, in the shapes of the native API.

Imported only where JSON is asked for, since those shapes bring the web server's library along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from gateway.api.native.audit import AuditRow
from gateway.api.native.replies import Shape
from gateway.api.native.shapes import FeedbackRow, LoggedRow
from gateway.domain.audit import AuditEntry
from gateway.domain.feedback import Feedback
from gateway.domain.request import RequestRecord


def feedback_lines(entries: Iterable[Feedback]) -> Iterator[str]:
    """Return a line for each entry, equal to what `GET /api/v1/traces` says of it."""
    return (_line(FeedbackRow.of(entry)) for entry in entries)


def request_lines(records: Iterable[RequestRecord]) -> Iterator[str]:
    """Return a line for each request, equal to what `GET /api/v1/requests` says of it."""
    return (_line(LoggedRow.of(record)) for record in records)


def audit_lines(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Return a line for each entry, equal to what `GET /api/v1/audit` says of it."""
    return (_line(AuditRow.of(entry)) for entry in entries)


def _line(shape: Shape) -> str:
    return orjson.dumps(shape.model_dump()).decode()
