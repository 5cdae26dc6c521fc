"""Deleting sums that were taken back and not made again yet: nothing reads them, but they still name what they are
about."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.relational.connection import Connection
from gateway.store.relational.rollup_table import KINDS
from gateway.store.rollups import NO_FIELD

_IS_SEALED = """
SELECT 1 FROM rollup_seals AS seal
WHERE seal.kind = ? AND seal.span_us = sums.span_us AND seal.starts_at_us = sums.starts_at_us
    AND seal.fields IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """The sums of one kind for a span that has no seal."""

    kind: str
    span_us: int
    starts_at_us: int


def leftovers(connection: Connection) -> list[Leftover]:
    """Return the spans that have sums but no seal."""
    return [
        Leftover(name, *place)
        for name, kind in KINDS.items()
        for place in connection.execute(
            f"SELECT DISTINCT span_us, starts_at_us FROM {kind.table} AS sums"
            f" WHERE field = '{NO_FIELD}' AND NOT EXISTS ({_IS_SEALED})",
            (name,),
        )
    ]


def sweep(connection: Connection, leftover: Leftover) -> None:
    """Delete the sums of a span, unless they were made again meanwhile."""
    kind = KINDS[leftover.kind]
    connection.executemany(
        f"DELETE FROM {kind.table} AS sums WHERE span_us = ? AND field = ? AND starts_at_us = ?"
        f" AND NOT EXISTS ({_IS_SEALED})",
        [(leftover.span_us, field, leftover.starts_at_us, leftover.kind) for field in kind.fields],
    )
