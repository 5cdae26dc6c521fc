"""Feedback of exports with several tables, and its entries once its subjects are looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from gateway.feedback.named_values import NamedFeedback, find_named_subjects
from gateway.feedback.rules import imported_feedback, with_stored_id
from gateway.models.feedback import Feedback
from gateway.models.principal import Principal
from gateway.store.base import FeedbackStore


class RowKind(StrEnum):
    """What a row of an export is."""

    REQUEST = "request"
    FEEDBACK = "feedback"
    # What other rows are about, such as the trace of a span.
    CONTEXT = "context"
    # Nothing that is kept here, such as the span of a tool.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ImportedFeedback:
    """Feedback of an export, whose subject is not looked up yet."""

    item: NamedFeedback
    dialect: str
    given_at_us: int
    importer: Principal


async def find_imported_entries(store: FeedbackStore, given: Sequence[ImportedFeedback]) -> list[Feedback]:
    """Return entries on what is logged, or on what will be; each with the id that it has in its export."""
    entries: list[Feedback] = []
    for importer, group in groupby(given, attrgetter("importer")):
        same = list(group)
        items = await find_named_subjects(store, [each.item for each in same], importer)
        entries += [
            imported_feedback(with_stored_id(item, importer), importer, each.dialect, each.given_at_us)
            for item, each in zip(items, same, strict=True)
        ]
    return entries
