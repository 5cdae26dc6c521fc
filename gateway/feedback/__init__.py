"""The rules of feedback: what a vote becomes, what it is about, who may change it, what a retry means.

Faces translate their dialect into the types here and call `FeedbackService`; the store keeps what comes out.
HTTP, SQL and the names of dialects' vendors do not belong here: where dialects differ in meaning, their faces
pass arguments.
"""

from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import (
    SCALES,
    FeedbackChange,
    FeedbackRevision,
    NewFeedback,
    ParsedFeedback,
    Scale,
    parse_feedback,
    parse_score_change,
    signed_scale,
    star_scale,
    thumb_scale,
    to_grade,
    unit_scale,
)
from gateway.feedback.rescale import rescale_grades
from gateway.feedback.service import FeedbackService

__all__ = [
    "SCALES",
    "FeedbackChange",
    "FeedbackRevision",
    "FeedbackService",
    "NewFeedback",
    "ParsedFeedback",
    "Scale",
    "parse_feedback",
    "parse_score_change",
    "rescale_grades",
    "signed_scale",
    "star_scale",
    "thumb_scale",
    "to_grade",
    "unit_scale",
    "waiting_note",
]
