"""Feedback as lines to read: a row of a table for each entry, and below it what was asked, answered and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.cli.table import WIDTH, Column, Table, clock, cut, printable
from gateway.domain.feedback import Feedback
from gateway.query.requests import read_back
from gateway.store.base import Store
from gateway.wire.excerpts import answer_in, question_in

COLUMNS = (
    Column("CREATED (UTC)", 19),
    Column("SCORE", 5),
    Column("VALUE:WEIGHT", 12, least=7),
    Column("AUTHOR", 6, least=6),
    Column("ABOUT", 12, least=12),
    Column("FEEDBACK ID", 36),
)

_BATCH = 100
"""Of how many entries the bodies are read at a time."""
_LONGEST = 4 * WIDTH
"""How much of a text is looked at, in characters."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginnings of what was asked and answered; empty where it is not known."""

    question: str = ""
    answer: str = ""


def entry_lines(entries: Sequence[Feedback], excerpts: Mapping[str, Excerpt]) -> Iterator[str]:
    """Return the lines of entries, given what they were said of by `feedback_id`."""
    titles, *rows = Table(COLUMNS).lines(map(_row, entries))
    yield titles
    for entry, row in zip(entries, rows, strict=True):
        yield row
        excerpt = excerpts.get(entry.feedback_id, Excerpt())
        texts = {
            "question": excerpt.question,
            "answer": excerpt.answer,
            "edited": entry.edited_text,
            "label": entry.label,
            "comment": entry.comment,
        }
        for name, text in texts.items():
            if text:
                yield cut(f"  {name:<9} {printable(' '.join(text[:_LONGEST].split()))}", WIDTH)


async def read_excerpts(store: Store, entries: Sequence[Feedback]) -> dict[str, Excerpt]:
    """Return what was asked and answered in the request that each entry counts for, by `feedback_id`."""
    excerpts: dict[str, Excerpt] = {}
    for start in range(0, len(entries), _BATCH):
        batch = [entry.feedback_id for entry in entries[start : start + _BATCH]]
        counted = await store.counted_for(batch)
        payloads = await store.payloads([record.seq for record in counted.values()])
        for feedback_id, record in counted.items():
            logged = read_back(record, payloads.get(record.seq), ())
            question = "" if logged.request is None else question_in(logged.request.body)
            body = None if logged.response is None else logged.response.body
            answer = answer_in(body if logged.reassembled is None else logged.reassembled)
            excerpts[feedback_id] = Excerpt(question[:_LONGEST], answer[:_LONGEST])
    return excerpts


def _row(entry: Feedback) -> tuple[str, ...]:
    # An edit or a comment has no value; then its kind says more than a dash.
    value = entry.kind.value if entry.value is None else f"{entry.value:g}:{entry.weight:g}"
    score = "-" if entry.score is None else f"{entry.score:+.2f}"
    return clock(entry.created_at_us), score, value, entry.author or "-", entry.subject_id, entry.feedback_id
