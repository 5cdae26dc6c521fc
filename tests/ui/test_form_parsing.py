"""What is taken of a form."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadInput, TooLarge
from gateway.ui.feedback_form import (
    FORM_CONTENT_TYPE,
    MAX_COMMENT,
    MAX_FORM_BYTES,
    FeedbackForm,
    Thumb,
    read_form,
)


@pytest.mark.parametrize(
    ("body", "ballot"),
    [
        (b"vote=up", FeedbackForm(Thumb.UP)),
        (b"vote=down&comment=", FeedbackForm(Thumb.DOWN, "")),
        (
            b"vote=up&comment=+Well+done%21%0D%0A%0D%0AReally.+",
            FeedbackForm(Thumb.UP, "Well done!\n\nReally."),
        ),
        (b"comment=no+vote", FeedbackForm(None, "no vote")),
        (b"vote=sideways", FeedbackForm(None)),
        (b"vote=up&vote=down&other=1", FeedbackForm(Thumb.DOWN)),
        (b"", FeedbackForm(None)),
    ],
)
def test_a_form_holds_a_thumb_and_perhaps_a_comment(body: bytes, ballot: FeedbackForm) -> None:
    assert read_form(FORM_CONTENT_TYPE, body) == ballot


@given(
    st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=200).map(str.strip)
)
def test_any_comment_comes_through_as_it_was_written(comment: str) -> None:
    as_sent = urlencode({"vote": "up", "comment": comment.replace("\n", "\r\n")}).encode()
    assert read_form(FORM_CONTENT_TYPE, as_sent) == FeedbackForm(Thumb.UP, comment)


def test_the_longest_comment_fits_into_the_longest_form() -> None:
    comment = "\U0001f44d" * MAX_COMMENT
    body = urlencode({"vote": "up", "comment": comment}).encode()
    assert len(body) < MAX_FORM_BYTES
    assert read_form(FORM_CONTENT_TYPE, body).comment == comment
    with pytest.raises(TooLarge, match="comment: may have 4,000 characters; got 4,001"):
        read_form(FORM_CONTENT_TYPE, body + b"x")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"vote": "up"}'),
        ("multipart/form-data", b"vote=up"),
        (FORM_CONTENT_TYPE, b"vote=up&comment=%ff"),
        (FORM_CONTENT_TYPE, b"vote=up&comment=\xff"),
        (FORM_CONTENT_TYPE, b"&".join(b"vote=up" for _ in range(11))),
    ],
)
def test_what_no_form_would_send_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(BadInput, match="must be a form"):
        read_form(content_type, body)
