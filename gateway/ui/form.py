"""The form: what it sends, and what is taken of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from gateway.errors import BadInput, TooLarge

FORM = "application/x-www-form-urlencoded"

MAX_COMMENT = 4000
"""Longest comment, in characters."""
MAX_FORM_BYTES = 64 * 1024
"""Longest form: a character may be four bytes, and each of them three in a form."""
MAX_FIELDS = 10


class Thumb(StrEnum):
    """The two votes that there are."""

    UP = "up"
    DOWN = "down"

    @classmethod
    def named(cls, name: str | None) -> Thumb | None:
        """Return the thumb of that name, None if there is no such."""
        return cls(name) if name in list(cls) else None


@dataclass(frozen=True, slots=True)
class Ballot:
    """A filled form. `thumb` is None where neither was chosen.

    Args:
        comment: None where its field was not sent at all; empty where nothing was written.
    """

    thumb: Thumb | None
    comment: str | None = None


def read_ballot(content_type: str, body: bytes) -> Ballot:
    """Read what a form has sent.

    Raises:
        BadInput: it is no form, or not in UTF-8.
        TooLarge: the comment is too long.
    """
    if content_type != FORM:
        raise BadInput(f"must be a form, {FORM}; got {content_type}.", field="body")
    try:
        text = body.decode()
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:
        raise BadInput(f"must be a form in UTF-8 of at most {MAX_FIELDS} fields.", field="body") from None
    comment = fields.get("comment")
    if comment is not None:
        comment = comment.replace("\r\n", "\n").strip()
    if comment is not None and len(comment) > MAX_COMMENT:
        raise TooLarge(f"may have {MAX_COMMENT:,} characters; got {len(comment):,}.", field="comment")
    return Ballot(Thumb.named(fields.get("vote")), comment)
