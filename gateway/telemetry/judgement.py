"""Judgement: feedback as those who show traces have it, and what of it may be told."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.feedback import Feedback, Kind, Source, Target
from gateway.domain.value import value
from gateway.telemetry.attributes import label_of, of_feedback
from gateway.telemetry.ids import span_number, trace_number

ANNOTATORS: Mapping[Source, str] = {
    Source.HUMAN: "HUMAN",
    Source.IMPLICIT: "HUMAN",
    Source.MODEL: "LLM",
    Source.CODE: "CODE",
}


@value(kw_only=True)
class Judgement:
    """A version of an entry as it is told.

    Args:
        feedback_id: by which a later version is known to be of the same entry.
        trace_id: in 32 hex digits.
        span_id: in 16; None where a trace or a session as a whole is meant.
        session: where a session as a whole is meant.
        name: of what is judged.
        annotator: HUMAN, LLM or CODE.
        score: −1…1.
        label: in a word; there is one wherever there is no score.
        comment: None unless what was said may be told.
        metadata: the rest, as it is told of the event.
    """

    feedback_id: str
    trace_id: str
    span_id: str | None
    session: str | None
    name: str
    annotator: str
    score: float | None
    label: str
    comment: str | None
    metadata: Mapping[str, str | float]


def is_verdict(entry: Feedback) -> bool:
    """Tell whether an entry judges anything: an original text alone does not."""
    return entry.kind is not Kind.ORIGINAL or entry.score is not None


def judgement_of(entry: Feedback, trace_id: str, span_id: str | None, *, has_text: bool) -> Judgement:
    """Return what is told of an entry.

    Args:
        trace_id: of the trace that it is about, or of one of the session's.
        span_id: id of the span of the request that it is about, as that came in; None where it is about more.
        has_text: whether words of the voter may be told, and not only figures.
    """
    trace = trace_number(trace_id)
    in_words = label_of(entry.score) or entry.kind.value
    metadata = {name: said for name, said in of_feedback(entry).items() if name.startswith("gateway.")}
    return Judgement(
        feedback_id=entry.feedback_id,
        trace_id=f"{trace:032x}",
        span_id=None if span_id is None else f"{span_number(trace, span_id):016x}",
        session=(entry.session or entry.subject_id) if entry.target is Target.SESSION else None,
        name=entry.metric or entry.kind.value,
        annotator=ANNOTATORS[entry.source],
        score=entry.score,
        label=(entry.label if has_text else None) or in_words,
        comment=(entry.comment or None) if has_text else None,
        metadata={name: said for name, said in metadata.items() if isinstance(said, str | int | float)},
    )
