"""Feedback: what an entry is on, which rule stores it, who may change it."""

from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import (
    SCALES,
    FeedbackChange,
    FeedbackRevision,
    KeyScales,
    NewFeedback,
    ParsedFeedback,
    Scale,
    parse_feedback,
    parse_score_change,
    signed_scale,
    star_scale,
    thumb_feedback,
    thumb_scale,
    to_grade,
    unit_scale,
)
from gateway.feedback.rescale import rescale_grades
from gateway.feedback.rules import append, imported_feedback, upsert
from gateway.feedback.service import FeedbackService

__all__ = [
    "SCALES",
    "FeedbackChange",
    "FeedbackRevision",
    "FeedbackService",
    "KeyScales",
    "NewFeedback",
    "ParsedFeedback",
    "Scale",
    "append",
    "imported_feedback",
    "parse_feedback",
    "parse_score_change",
    "rescale_grades",
    "signed_scale",
    "star_scale",
    "thumb_feedback",
    "thumb_scale",
    "to_grade",
    "unit_scale",
    "upsert",
    "waiting_note",
]
