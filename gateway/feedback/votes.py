"""What faces hand to the core: a vote as it was given, and a change to an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.domain.feedback import Feedback, Kind, Source, Target
from gateway.feedback.scales import Scale, score_of, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFeedback:
    """A vote that is not stored yet. Fields mean what they mean in `Feedback`.

    Args:
        subject_id: the id of a trace, request or session, as the voter gave it.
        subject_field: where the voter gave it (`[3].trace_id`), for errors.
        target: what `subject_id` is taken for while nothing of that name is logged.
        scale: how `value` becomes a score; None where nobody knows.
        grade: `value` where it was given on the scale −10…10; None: ten times the score.
        raw: the vote's JSON as it came in. Two votes are the same if their `raw` is the same JSON.
        feedback_id: the voter's own UUID for the entry, in lower case; None: one is made.
    """

    subject_id: str
    subject_field: str | None = None
    target: Target = Target.TRACE
    kind: Kind = Kind.RATING
    metric: str | None = None
    value: float | None = None
    weight: float = 1.0
    scale: Scale | None = signed
    grade: float | None = None
    label: str | None = None
    comment: str | None = None
    original_text: str | None = None
    edited_text: str | None = None
    author: str | None = None
    app_id: str | None = None
    app_version: str | None = None
    source: Source = Source.HUMAN
    metadata: Mapping[str, object] = field(default_factory=dict)
    raw: str
    feedback_id: str | None = None

    @property
    def score(self) -> float | None:
        """The value on the scale -1…1; None without a value or a scale."""
        return score_of(self.value, self.scale)


class Change(Protocol):
    """What a caller wants of an entry that is there."""

    @property
    def raw(self) -> str:
        """The change's JSON as it came in."""

    def of(self, entry: Feedback) -> Feedback:
        """Return `entry` with this change made; version, times and origin stay for the core to set.

        Called again with a newer version if another change came in between.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A change to an entry. None leaves a field as it is; metadata is replaced as a whole.

    Args:
        value: from −10 to 10.
        scale: how a new `value` becomes a score.
        raw: the change's JSON as it came in.
    """

    value: float | None = None
    weight: float | None = None
    scale: Scale = signed
    author: str | None = None
    comment: str | None = None
    metadata: Mapping[str, object] | None = None
    raw: str

    def of(self, entry: Feedback) -> Feedback:
        """Return `entry` with this change made; version, times and origin stay for the core to set."""
        return replace(
            entry,
            value=entry.value if self.value is None else self.value,
            score=entry.score if self.value is None else self.scale(self.value),
            grade=entry.grade if self.value is None else self.value,
            weight=entry.weight if self.weight is None else self.weight,
            author=entry.author if self.author is None else self.author,
            comment=entry.comment if self.comment is None else self.comment,
            metadata=entry.metadata if self.metadata is None else self.metadata,
            raw=self.raw,
        )
