"""Feedback as given: scales, new feedback, revisions, and parsing of free JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from gateway.models.feedback import Feedback, Kind, Source, Target

Scale = Callable[[float], float]
"""Turns a value into its score."""


def signed_scale(value: float) -> float:
    """Read a value of -10…10 as a grade: -10 is -1, 0 is neutral, 10 is 1."""
    return value / 10


def thumb_scale(value: float) -> float:
    """Read a value as a thumb: 1 is up, and so is all above 0; 0 is down, and so is all below."""
    return 1.0 if value > 0 else -1.0


def star_scale(value: float) -> float:
    """Read a value of 1…5 as stars: 1 is -1, 3 is neutral, 5 is 1."""
    return (value - 3) / 2


def unit_scale(value: float) -> float:
    """Read a value of -1…1 as the score that it is."""
    return value


def to_score(value: float | None, scale: Scale | None) -> float | None:
    """Return the score that a value has; None without a value, or where its scale is not known."""
    return None if value is None or scale is None else scale(value)


def to_grade(score: float | None) -> float | None:
    """Return a score on the scale −10…10."""
    return None if score is None else 10 * score


SCALES: Mapping[str, Scale] = MappingProxyType({"signed": signed_scale, "thumbs": thumb_scale})
"""Scales among which the configuration may choose, by name."""


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
    scale: Scale | None = signed_scale
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
        return to_score(self.value, self.scale)


class FeedbackChange(Protocol):
    """What a caller wants of an entry that is there."""

    @property
    def raw(self) -> str:
        """The change's JSON as it came in."""

    def of(self, entry: Feedback) -> Feedback:
        """Return `entry` with this change made; version, times and origin stay for the core to set.

        Called again with a newer version if another change came in between.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRevision:
    """A change to an entry. None leaves a field as it is; metadata is replaced as a whole.

    Args:
        value: from −10 to 10.
        scale: how a new `value` becomes a score.
        raw: the change's JSON as it came in.
    """

    value: float | None = None
    weight: float | None = None
    scale: Scale = signed_scale
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


MAX_NUMBER = 1e300
"""Numbers from here on are no verdict."""

TYPE_KEYS = ("type", "feedback_type", "kind")
NUMBER_KEYS = ("score", "value")
COMMENT_KEYS = ("comment", "text")
ORIGINAL_KEYS = ("original_response", "original_content", "original_text")
EDIT_KEYS = ("user_edit", "edited_content", "edited_text", "content_edit")
CONTENT_KEYS = ("content",)
"""Where the text of an original or of an edit is that only `type` says to be one."""

RATING_TYPES = frozenset({"rating"})
THUMB_TYPES = frozenset({"rating", "thumb", "thumbs"})
UP_WORDS = frozenset({"thumbs_up", "thumb_up", "up", "like", "👍"})
DOWN_WORDS = frozenset({"thumbs_down", "thumb_down", "down", "dislike", "👎"})

_EMOJI_MODIFIERS = dict.fromkeys((*range(0x1F3FB, 0x1F400), 0xFE0F))
"""Characters that change how the emoji before them looks: its tone of skin, and that it is drawn in colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedScore:
    """What kind of judgement an object holds, and its value with the scale that makes a score of it.

    Args:
        scale: None where the value could be on any.
    """

    kind: Kind = Kind.CUSTOM
    value: float | None = None
    scale: Scale | None = None

    @property
    def score(self) -> float | None:
        """The value on the scale -1…1; None without a value or a scale."""
        return to_score(self.value, self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFeedback:
    """What is known of an object of feedback. Fields mean what they mean in `Feedback`."""

    parsed_score: ParsedScore
    weight: float = 1.0
    comment: str | None = None
    original_text: str | None = None
    edited_text: str | None = None
    is_original: bool = False

    @property
    def kind(self) -> Kind:
        """What sort of entry this makes: an edit or an original if it holds one, else what its verdict is."""
        if self.edited_text is not None:
            return Kind.EDIT
        if self.is_original:
            return Kind.ORIGINAL
        if self.parsed_score.kind is Kind.CUSTOM and self.comment is not None:
            return Kind.COMMENT
        return self.parsed_score.kind


def parse_feedback(given: Mapping[str, object]) -> ParsedFeedback:
    """Return what is known of a JSON object, be it what it may."""
    types = {_normalise_word(given.get(key)) for key in TYPE_KEYS}
    edit = given.get("content_edit")
    edited = {**given, **edit, "content_edit": None} if isinstance(edit, dict) else given
    content, original_text, edited_text = (
        _first_text(edited, names) for names in (CONTENT_KEYS, ORIGINAL_KEYS, EDIT_KEYS)
    )
    if not types.isdisjoint(EDIT_KEYS):
        edited_text = edited_text or content
    is_original = not types.isdisjoint(ORIGINAL_KEYS)
    if is_original:
        original_text = original_text or content
    weight = _parse_number(given.get("weight"))
    return ParsedFeedback(
        parsed_score=_parse_stars(given, types)
        or _parse_thumb(given, types)
        or _parse_score(given, types)
        or ParsedScore(),
        weight=weight if weight is not None and 0 <= weight <= 1 else 1.0,
        comment=_first_text(given, COMMENT_KEYS),
        original_text=original_text,
        edited_text=edited_text,
        is_original=is_original and original_text is not None,
    )


def parse_score_change(before: Mapping[str, object], change: Mapping[str, object]) -> ParsedScore | None:
    """Return the verdict that fields hold by which others are replaced; None where they hold none of their own."""
    types = {key: before[key] for key in TYPE_KEYS if key in before}
    parsed_score = parse_feedback({**types, **change}).parsed_score
    return None if parsed_score in (ParsedScore(), parse_feedback(types).parsed_score) else parsed_score


def _parse_stars(given: Mapping[str, object], types: set[str]) -> ParsedScore | None:
    named = [given.get("rating"), None if types.isdisjoint(RATING_TYPES) else given.get("value")]
    ratings = [rating for rating in map(_parse_number, named) if rating is not None and 1 <= rating <= 5]
    return ParsedScore(kind=Kind.RATING, value=ratings[0], scale=star_scale) if ratings else None


def _parse_thumb(given: Mapping[str, object], types: set[str]) -> ParsedScore | None:
    rating, value = given.get("rating"), given.get("value")
    words = {*types, _normalise_word(rating)}
    said = [rating if isinstance(rating, bool) else None]
    if not types.isdisjoint(THUMB_TYPES):
        words.add(_normalise_word(value))
        said.append(_parse_truth(value, is_number=types.isdisjoint(RATING_TYPES)))
    up, down = given.get("thumbs_up"), given.get("thumbs_down")
    is_up = up is True or True in said or not words.isdisjoint(UP_WORDS) or (down is False and up is None)
    is_down = (
        down is True or False in said or not words.isdisjoint(DOWN_WORDS) or (up is False and down is None)
    )
    if is_up == is_down:
        return None
    return ParsedScore(kind=Kind.THUMB, value=float(is_up), scale=thumb_scale)


def _parse_score(given: Mapping[str, object], types: set[str]) -> ParsedScore | None:
    for name in NUMBER_KEYS:
        value = _parse_number(given.get(name))
        if value is not None:
            # A rating or a thumb by a number that is none of theirs is on a scale that nobody knows.
            is_unit = abs(value) <= 1 and (name != "value" or types.isdisjoint(THUMB_TYPES))
            return ParsedScore(kind=Kind.SCORE, value=value, scale=unit_scale if is_unit else None)
    return None


def _parse_truth(value: object, *, is_number: bool) -> bool | None:
    """A truth value; where `is_number`, also 1 as true, and 0 and -1 as false."""
    if isinstance(value, bool):
        return value
    number = _parse_number(value) if is_number else None
    return None if number not in (1, 0, -1) else number == 1


def _parse_number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # An integer may be too long for a float.
    return float(value) if abs(value) < MAX_NUMBER and math.isfinite(value) else None


def _first_text(given: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    texts = (given.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def _normalise_word(value: object) -> str:
    text = value.translate(_EMOJI_MODIFIERS) if isinstance(value, str) else ""
    return text.strip().lower().replace("-", "_").replace(" ", "_")
