"""Feedback as lines to read: a row of a table for each entry, and below it what was asked, answered and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.cli.table import WIDTH, Column, Table, clock, cut, printable
from gateway.domain.feedback import Feedback
from gateway.query import Texts

COLUMNS = (
    Column("CREATED (UTC)", 19),
    Column("SCORE", 5),
    Column("VALUE:WEIGHT", 12),
    Column("AUTHOR", 6, least=6),
    Column("ABOUT", 12, least=12),
    Column("FEEDBACK ID", 36),
)

_LONGEST = 4 * WIDTH
"""How much of a text is looked at, in characters."""


def entry_lines(entries: Sequence[Feedback], texts: Mapping[str, Texts]) -> Iterator[str]:
    """Return the lines of entries, given what they were said of by `feedback_id`."""
    titles, *rows = Table(COLUMNS).lines(map(_row, entries))
    yield titles
    for entry, row in zip(entries, rows, strict=True):
        yield row
        known = texts.get(entry.feedback_id, Texts())
        said = {
            "question": known.question,
            "answer": known.answer,
            "no answer": known.no_answer,
            "edited": entry.edited_text,
            "label": entry.label,
            "comment": entry.comment,
        }
        for name, text in said.items():
            if text:
                yield cut(f"  {name:<9} {printable(' '.join(text[:_LONGEST].split()))}", WIDTH)


def _row(entry: Feedback) -> tuple[str, ...]:
    # An edit or a comment has no value; then its kind says more than a dash.
    value = entry.kind.value if entry.value is None else f"{entry.value:g}:{entry.weight:g}"
    score = "-" if entry.score is None else f"{entry.score:+.2f}"
    return clock(entry.created_at_us), score, value, entry.author or "-", entry.subject_id, entry.feedback_id
