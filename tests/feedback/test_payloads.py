"""What is known of free JSON, and that nothing in it is ever an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feedback.payloads import parse_feedback
from gateway.models.feedback import Kind


@pytest.mark.parametrize(
    ("feedback", "kind", "value", "score"),
    [
        *(({"rating": stars}, "rating", stars, (stars - 3) / 2) for stars in (1, 2, 3, 4, 5, 4.5)),
        ({"thumbs_up": True}, "thumb", 1, 1),
        ({"thumbs_up": False}, "thumb", 0, -1),
        ({"thumbs_down": True}, "thumb", 0, -1),
        ({"thumbs_down": False}, "thumb", 1, 1),
        ({"thumbs_up": True, "thumbs_down": False}, "thumb", 1, 1),
        ({"thumbs_up": False, "thumbs_down": True}, "thumb", 0, -1),
        ({"type": "thumbs_up"}, "thumb", 1, 1),
        ({"type": "Thumbs-Down"}, "thumb", 0, -1),
        ({"feedback_type": "thumbs_up"}, "thumb", 1, 1),
        ({"score": 0.5}, "score", 0.5, 0.5),
        ({"score": 0}, "score", 0, 0),
        ({"value": -1}, "score", -1, -1),
        ({"score": 85}, "score", 85, None),
        ({"score": 1, "value": 0}, "score", 1, 1),
        ({"rating": 4, "score": 0.1, "thumbs_up": False}, "rating", 4, 0.5),
        ({"rating": 9, "score": 0.1}, "score", 0.1, 0.1),
        ({"comment": "words"}, "comment", None, None),
        ({"comment": "words", "rating": 3}, "rating", 3, 0),
        ({"user_edit": "b", "thumbs_down": True}, "edit", 0, -1),
        *(({"type": "rating", "value": stars}, "rating", stars, (stars - 3) / 2) for stars in (1, 3, 5)),
        ({"type": "rating", "value": 0}, "score", 0, None),
        ({"type": "rating", "score": 0.5}, "score", 0.5, 0.5),
        ({"type": "rating", "value": 7}, "score", 7, None),
        ({"type": "rating", "value": 1, "rating": 4}, "rating", 4, 0.5),
        ({"value": 5}, "score", 5, None),
        ({"type": "rating", "value": "thumbs_up"}, "thumb", 1, 1),
        *(({"rating": word}, "thumb", 1, 1) for word in ("thumbs_up", "Thumbs-Up", "up", "like", "👍")),
        *(({"rating": word}, "thumb", 0, -1) for word in ("thumbs_down", "thumbs down", "down", "👎")),
        *(({"rating": word}, "thumb", 1, 1) for word in ("👍🏻", "👍🏿", "👍\ufe0f")),
        *(({"rating": word}, "thumb", 0, -1) for word in ("👎🏽", "👎\ufe0f")),
        ({"rating": True}, "thumb", 1, 1),
        ({"rating": False}, "thumb", 0, -1),
        ({"type": "rating", "value": False}, "thumb", 0, -1),
        *(({"type": "thumb", "value": up}, "thumb", 1, 1) for up in (1, True, "up")),
        *(({"type": "thumbs", "value": down}, "thumb", 0, -1) for down in (0, -1, False, "👎")),
        ({"type": "thumb", "value": 0.5}, "score", 0.5, None),
        ({"type": "original_response", "content": "a"}, "original", None, None),
        ({"type": "original_response", "content": "a", "rating": 5}, "original", 5, 1),
        ({"type": "original_response", "original_response": "a"}, "original", None, None),
        ({"type": "user_edit", "content": "b"}, "edit", None, None),
        ({"type": "user_edit", "content": "b", "comment": "why"}, "edit", None, None),
    ],
)
def test_known_feedback_has_its_kind_value_and_score(
    feedback: dict[str, Any], kind: str, value: float | None, score: float | None
) -> None:
    reading = parse_feedback(feedback)

    assert (reading.kind, reading.parsed_score.value, reading.parsed_score.score) == (kind, value, score)


@pytest.mark.parametrize(
    "feedback",
    [
        {},
        {"colour": "red"},
        {"rating": 0},
        {"rating": 5.1},
        {"rating": "4"},
        {"rating": None},
        {"rating": [4]},
        {"thumbs_up": "yes"},
        {"thumbs_up": 1},
        {"thumbs_up": True, "thumbs_down": True},
        {"thumbs_up": False, "thumbs_down": False},
        {"type": "star"},
        {"type": ["thumbs_up"]},
        {"score": True},
        {"score": "0.5"},
        {"score": float("nan")},
        {"score": float("inf")},
        {"score": 10**400},
        {"comment": ""},
        {"comment": 5},
        {"original_response": "a"},
        {"content": "a"},
        {"type": "note", "content": "a"},
        {"type": "original_response"},
        {"type": "original_response", "content": ["a"]},
        {"type": "user_edit", "content": ""},
        {"rating": "thumbs_up", "thumbs_down": True},
        {"rating": "excellent"},
        {"value": "thumbs_up"},
        {"content_edit": {}},
        {"content_edit": ["b"]},
    ],
)
def test_what_is_not_known_is_custom_and_has_no_value(feedback: dict[str, Any]) -> None:
    reading = parse_feedback(feedback)

    assert (reading.kind, reading.parsed_score.value, reading.parsed_score.score) == (Kind.CUSTOM, None, None)
    assert (reading.comment, reading.edited_text, reading.weight) == (None, None, 1)


@pytest.mark.parametrize(
    ("feedback", "original", "edited"),
    [
        ({"original_response": "a", "user_edit": "b"}, "a", "b"),
        ({"original_content": "a", "edited_content": "b"}, "a", "b"),
        ({"content_edit": "b"}, None, "b"),
        ({"content_edit": "b", "original_response": "a"}, "a", "b"),
        ({"content_edit": {"original_content": "a", "edited_content": "b"}}, "a", "b"),
        ({"type": "content_edit", "edited_content": "b"}, None, "b"),
        ({"type": "content_edit", "original_text": "a", "edited_text": "b", "edit_reason": "r"}, "a", "b"),
        ({"original_text": "a", "edited_text": "b"}, "a", "b"),
        ({"type": "user_edit", "content": "b", "edit_type": "improvement"}, None, "b"),
        ({"type": "content_edit", "original_text": "a", "content": "b"}, "a", "b"),
        ({"type": "user_edit", "content": "b", "edited_text": "c"}, None, "c"),
    ],
)
def test_an_edit_has_both_texts_as_far_as_they_are_there(
    feedback: dict[str, Any], original: str | None, edited: str
) -> None:
    reading = parse_feedback(feedback)

    assert (reading.kind, reading.original_text, reading.edited_text) == (Kind.EDIT, original, edited)


@pytest.mark.parametrize(
    ("weight", "kept"), [(0, 0), (0.5, 0.5), (1, 1), (2, 1), (-1, 1), ("0.5", 1), (True, 1), (None, 1)]
)
def test_a_weight_is_one_from_0_to_1(weight: object, kept: float) -> None:
    assert parse_feedback({"rating": 5, "weight": weight}).weight == kept


KNOWN = ["rating", "thumbs_up", "thumbs_down", "type", "feedback_type", "kind", "score", "value", "weight"]
KNOWN += ["comment", "text", "original_response", "user_edit", "edited_content", "content_edit", "content"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KNOWN), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(KNOWN), ANYTHING))
def test_whatever_comes_is_read_and_scores_stay_in_their_range(feedback: dict[str, Any]) -> None:
    reading = parse_feedback(feedback)

    assert 0 <= reading.weight <= 1
    assert reading.parsed_score.score is None or -1 <= reading.parsed_score.score <= 1
