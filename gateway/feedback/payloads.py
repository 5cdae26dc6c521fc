"""Feedback as given: scales, new feedback, revisions, and parsing of free JSON."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.models.feedback import Feedback, Kind, Source, Subject, Target

# Makes a score of a value.
Scale = Callable[[float], float]


def signed_scale(value: float) -> float:
    return value / 10


def thumb_scale(value: float) -> float:
    return 1.0 if value > 0 else -1.0


def star_scale(value: float) -> float:
    return (value - 3) / 2


def stars_of(score: float) -> float:
    """Undo `star_scale`."""
    return 2 * score + 3


def unit_scale(value: float) -> float:
    return value


def fraction_scale(value: float) -> float:
    """Map 0, bad, to 1, good."""
    # The nearest double of 0.7 would become 0.3999999999999999.
    return round(2 * value - 1, 12)


# Scales that the configuration may name.
SCALES: Mapping[str, Scale] = {"signed": signed_scale, "thumbs": thumb_scale}


@dataclass(frozen=True, slots=True)
class KeyScales:
    default: Scale = signed_scale
    by_key: Mapping[str, Scale] = field(default_factory=dict)


def to_score(value: float | None, scale: Scale | None) -> float | None:
    return None if value is None or scale is None else scale(value)


def to_grade(score: float | None) -> float | None:
    return None if score is None else 10 * score


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFeedback:
    """Feedback that is not stored yet.

    Args:
        subject_id: as the caller sent it.
        subject_field: its path in the body (`[3].trace_id`), for errors.
        scale: None: unknown.
        grade: None: ten times the score.
        feedback_id: UUID chosen by the caller.
        subject: what `subject_id` names, where the caller was shown it.
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
    subject: Subject | None = None

    @property
    def score(self) -> float | None:
        return to_score(self.value, self.scale)


# The metric of thumbs, so that a thumb replaces the author's earlier one whichever API it comes through.
RATING_METRIC = "rating"
# That of edits, so that a rating does not replace one.
EDIT_METRIC = "edit"


def thumb_feedback(
    request_id: str, *, is_up: bool, raw: str, author: str | None = None, comment: str | None = None
) -> NewFeedback:
    return NewFeedback(
        subject_id=request_id,
        subject_field="request_id",
        target=Target.REQUEST,
        kind=Kind.THUMB,
        metric=RATING_METRIC,
        value=1.0 if is_up else -1.0,
        scale=thumb_scale,
        comment=comment,
        author=author,
        raw=raw,
    )


class FeedbackChange(Protocol):
    @property
    def raw(self) -> str: ...

    def of(self, entry: Feedback) -> Feedback:
        """Return the changed entry; called again if another change came between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRevision:
    """A change to an entry; None leaves a field as it is."""

    value: float | None = None
    weight: float | None = None
    scale: Scale = signed_scale
    author: str | None = None
    comment: str | None = None
    metadata: Mapping[str, object] | None = None
    raw: str

    def of(self, entry: Feedback) -> Feedback:
        """Return the changed entry; called again if another change came between."""
        names = ("value", "weight", "author", "comment", "metadata")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.value is not None:
            given |= {"score": self.scale(self.value), "grade": self.value}
        return replace(entry, raw=self.raw, **given)


# Longer numbers are no score.
MAX_NUMBER = 1e300

TYPE_KEYS = ("type", "feedback_type", "kind")
NUMBER_KEYS = ("score", "value")
COMMENT_KEYS = ("comment", "text")
ORIGINAL_KEYS = ("original_response", "original_content", "original_text")
EDIT_KEYS = ("user_edit", "edited_content", "edited_text", "content_edit")
# Where the text is when only `type` says that it is an original or an edit.
CONTENT_KEYS = ("content",)

RATING_TYPES = frozenset({"rating"})
THUMB_TYPES = frozenset({"rating", "thumb", "thumbs"})
UP_WORDS = frozenset({"thumbs_up", "thumb_up", "up", "like", "👍"})
DOWN_WORDS = frozenset({"thumbs_down", "thumb_down", "down", "dislike", "👎"})

# Skin tone and colour of the emoji before them; "👍🏽" means what "👍" does.
_EMOJI_MODIFIERS = dict.fromkeys((*range(0x1F3FB, 0x1F400), 0xFE0F))


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedScore:
    kind: Kind = Kind.CUSTOM
    value: float | None = None
    scale: Scale | None = None

    @property
    def score(self) -> float | None:
        return to_score(self.value, self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFeedback:
    parsed_score: ParsedScore
    weight: float = 1.0
    comment: str | None = None
    original_text: str | None = None
    edited_text: str | None = None
    is_original: bool = False

    @property
    def kind(self) -> Kind:
        if self.edited_text is not None:
            return Kind.EDIT
        if self.is_original:
            return Kind.ORIGINAL
        if self.parsed_score.kind is Kind.CUSTOM and self.comment is not None:
            return Kind.COMMENT
        return self.parsed_score.kind


def parse_feedback(given: Mapping[str, object]) -> ParsedFeedback:
    """Find score, texts and weight in any JSON object."""
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
    """Return the score in fields that replace those of `before`, if they hold one."""
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
            # A rating or thumb with a number that neither allows is on an unknown scale.
            is_unit = abs(value) <= 1 and (name != "value" or types.isdisjoint(THUMB_TYPES))
            return ParsedScore(kind=Kind.SCORE, value=value, scale=unit_scale if is_unit else None)
    return None


def _parse_truth(value: object, *, is_number: bool) -> bool | None:
    if isinstance(value, bool):
        return value
    number = _parse_number(value) if is_number else None
    return None if number not in (1, 0, -1) else number == 1


def _parse_number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # Compare first: an integer may be too long for a float.
    return float(value) if abs(value) < MAX_NUMBER and math.isfinite(value) else None


def _first_text(given: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    texts = (given.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def _normalise_word(value: object) -> str:
    text = value.translate(_EMOJI_MODIFIERS) if isinstance(value, str) else ""
    return text.strip().lower().replace("-", "_").replace(" ", "_")
