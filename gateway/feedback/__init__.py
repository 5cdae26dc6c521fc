"""The rules of feedback: what a vote becomes, what it is about, who may change it, what a retry means.

Faces translate their dialect into the types here and call `FeedbackCore`; the store keeps what comes out.
HTTP, SQL and the names of dialects' vendors do not belong here: where dialects differ in meaning, their faces
pass arguments.
"""

from gateway.feedback.core import FeedbackCore
from gateway.feedback.linking import note_of_waiting
from gateway.feedback.rescale import rescale
from gateway.feedback.scales import SCALES, Scale, grade_of, signed, stars, thumbs, unit
from gateway.feedback.shapes import Reading, read_change, read_feedback
from gateway.feedback.votes import Change, NewFeedback, Revision

__all__ = [
    "SCALES",
    "Change",
    "FeedbackCore",
    "NewFeedback",
    "Reading",
    "Revision",
    "Scale",
    "grade_of",
    "note_of_waiting",
    "read_change",
    "read_feedback",
    "rescale",
    "signed",
    "stars",
    "thumbs",
    "unit",
]
