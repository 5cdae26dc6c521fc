"""Known shapes inside free JSON: what applications send as feedback, read as a verdict, a comment and an edit.

An object may hold several at once, such as a rating with a comment. What is not known is no error: it makes an
entry of the kind `custom` without a value, and the object itself is kept by whoever asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.feedback import Kind
from gateway.feedback.scales import Scale, score_of, stars, thumbs, unit

MAX_NUMBER = 1e300
"""Numbers from here on are no verdict."""

TYPES = ("type", "feedback_type", "kind")
NUMBERS = ("score", "value")
COMMENTS = ("comment", "text")
ORIGINALS = ("original_response", "original_content", "original_text")
EDITS = ("user_edit", "edited_content", "edited_text", "content_edit")
CONTENTS = ("content",)
"""Where the text of an original or of an edit is that only `type` says to be one."""

RATINGS = frozenset({"rating"})
THUMBS = frozenset({"rating", "thumb", "thumbs"})
UP = frozenset({"thumbs_up", "thumb_up", "up", "like", "👍"})
DOWN = frozenset({"thumbs_down", "thumb_down", "down", "dislike", "👎"})

_LOOKS = dict.fromkeys((*range(0x1F3FB, 0x1F400), 0xFE0F))
"""Characters that change how the emoji before them looks: its tone of skin, and that it is drawn in colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
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
        return score_of(self.value, self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known of an object of feedback. Fields mean what they mean in `Feedback`."""

    verdict: Verdict
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
        if self.verdict.kind is Kind.CUSTOM and self.comment is not None:
            return Kind.COMMENT
        return self.verdict.kind


def read_feedback(given: Mapping[str, object]) -> Reading:
    """Return what is known of a JSON object, be it what it may."""
    types = {_word(given.get(key)) for key in TYPES}
    edit = given.get("content_edit")
    edited = {**given, **edit, "content_edit": None} if isinstance(edit, dict) else given
    content, original_text, edited_text = (_text(edited, names) for names in (CONTENTS, ORIGINALS, EDITS))
    if not types.isdisjoint(EDITS):
        edited_text = edited_text or content
    is_original = not types.isdisjoint(ORIGINALS)
    if is_original:
        original_text = original_text or content
    weight = _number(given.get("weight"))
    return Reading(
        verdict=_stars(given, types) or _thumb(given, types) or _score(given, types) or Verdict(),
        weight=weight if weight is not None and 0 <= weight <= 1 else 1.0,
        comment=_text(given, COMMENTS),
        original_text=original_text,
        edited_text=edited_text,
        is_original=is_original and original_text is not None,
    )


def read_change(before: Mapping[str, object], change: Mapping[str, object]) -> Verdict | None:
    """Return the verdict that fields hold by which others are replaced; None where they hold none of their own."""
    types = {key: before[key] for key in TYPES if key in before}
    verdict = read_feedback({**types, **change}).verdict
    return None if verdict in (Verdict(), read_feedback(types).verdict) else verdict


def _stars(given: Mapping[str, object], types: set[str]) -> Verdict | None:
    named = [given.get("rating"), None if types.isdisjoint(RATINGS) else given.get("value")]
    ratings = [rating for rating in map(_number, named) if rating is not None and 1 <= rating <= 5]
    return Verdict(kind=Kind.RATING, value=ratings[0], scale=stars) if ratings else None


def _thumb(given: Mapping[str, object], types: set[str]) -> Verdict | None:
    rating, value = given.get("rating"), given.get("value")
    words = {*types, _word(rating)}
    said = [rating if isinstance(rating, bool) else None]
    if not types.isdisjoint(THUMBS):
        words.add(_word(value))
        said.append(_truth(value, is_number=types.isdisjoint(RATINGS)))
    up, down = given.get("thumbs_up"), given.get("thumbs_down")
    is_up = up is True or True in said or not words.isdisjoint(UP) or (down is False and up is None)
    is_down = down is True or False in said or not words.isdisjoint(DOWN) or (up is False and down is None)
    if is_up == is_down:
        return None
    return Verdict(kind=Kind.THUMB, value=float(is_up), scale=thumbs)


def _score(given: Mapping[str, object], types: set[str]) -> Verdict | None:
    for name in NUMBERS:
        value = _number(given.get(name))
        if value is not None:
            # A rating or a thumb by a number that is none of theirs is on a scale that nobody knows.
            is_unit = abs(value) <= 1 and (name != "value" or types.isdisjoint(THUMBS))
            return Verdict(kind=Kind.SCORE, value=value, scale=unit if is_unit else None)
    return None


def _truth(value: object, *, is_number: bool) -> bool | None:
    """A truth value; where `is_number`, also 1 as true, and 0 and -1 as false."""
    if isinstance(value, bool):
        return value
    number = _number(value) if is_number else None
    return None if number not in (1, 0, -1) else number == 1


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # An integer may be too long for a float.
    return float(value) if abs(value) < MAX_NUMBER and math.isfinite(value) else None


def _text(given: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    texts = (given.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def _word(value: object) -> str:
    text = value.translate(_LOOKS) if isinstance(value, str) else ""
    return text.strip().lower().replace("-", "_").replace(" ", "_")
