"""Rows as CSV, for spreadsheets.

Source: RFC 4180; OWASP on CSV injection, https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import get_args

from gateway.api.native.replies import Shape

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(shape: type[Shape], rows: Iterable[Shape]) -> str:
    """Write rows of one shape. A column is named by the path to it (`cost_usd`), what is null is empty, and a text
    that a spreadsheet would take for a formula has a `'` before it."""
    leaves = list(_leaves(shape))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["_".join(leaf) for leaf in leaves])
    writer.writerows([_cell(_value(row, leaf)) for leaf in leaves] for row in rows)
    return text.getvalue()


def _leaves(shape: type[Shape], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The steps to each field of a shape that holds no further ones."""
    for name, field in shape.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        below = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Shape)), None)
        if below is None:
            yield (*before, name)
        else:
            yield from _leaves(below, (*before, name))


def _value(row: object, leaf: tuple[str, ...]) -> object:
    for name in leaf:
        row = None if row is None else getattr(row, name)
    return row


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_BEGINS_A_FORMULA):
        return f"'{value}"
    return value
