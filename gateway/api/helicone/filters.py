"""Filter trees: Helicone's become ours."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.api.helicone.columns import COLUMNS, NAMED, NESTED
from gateway.api.helicone.operators import Column
from gateway.domain.filter import EVERYTHING, All, Any, Filter
from gateway.errors import BadInput
from gateway.web.validation import shown

ALL = "all"
"""The filter that every request passes."""

_NODE = {"left", "operator", "right"}


def to_filter(tree: object, at: str = "filter") -> Filter:
    """Translate a filter: `"all"`, a node of two filters, or a leaf `{table: {column: {operator: value}}}`.

    All of a leaf's conditions must hold; an empty leaf holds none, so every request passes.

    Args:
        at: the path to it, for complaints.

    Raises:
        BadInput: a table, column, operator or value is not known or not taken here; names it.
    """
    if tree == ALL or tree is None:
        return EVERYTHING
    given = _object(tree, at)
    if given.keys() & _NODE:
        return _node(given, at)
    return All(tuple(_table(name, columns, f"{at}.{name}") for name, columns in given.items()))


def _node(node: dict[str, object], at: str) -> Filter:
    if node.keys() != _NODE:
        raise BadInput("must hold left, operator and right, and nothing else.", field=at)
    sides = (to_filter(node["left"], f"{at}.left"), to_filter(node["right"], f"{at}.right"))
    match node["operator"]:
        case "and":
            return All(sides)
        case "or":
            return Any(sides)
    raise BadInput(f'must be "and" or "or"; got {shown(node["operator"])}.', field=f"{at}.operator")


def _table(table: str, columns: object, at: str) -> Filter:
    given = _object(columns, at)
    if table in NAMED:
        return All(tuple(_column(NAMED[table](name), tests, f"{at}.{name}") for name, tests in given.items()))
    if table not in COLUMNS:
        raise _unknown("table", at, (*COLUMNS, *NAMED))
    return All(tuple(_column_of(table, name, tests, f"{at}.{name}") for name, tests in given.items()))


def _column_of(table: str, name: str, tests: object, at: str) -> Filter:
    nested = NESTED.get(table, {})
    if name in nested:
        inner = _object(tests, at)
        return All(tuple(_column(nested[name](key), inner[key], f"{at}.{key}") for key in inner))
    if name not in COLUMNS[table]:
        raise _unknown("column", at, (*COLUMNS[table], *nested))
    return _column(COLUMNS[table][name], tests, at)


def _column(column: Column, tests: object, at: str) -> Filter:
    return All(tuple(_test(column, name, value, at) for name, value in _object(tests, at).items()))


def _test(column: Column, operator: str, value: object, at: str) -> Filter:
    try:
        return column(operator, value)
    except BadInput as problem:
        raise BadInput(problem.message, field=f"{at}.{operator}", hint=problem.hint) from None


def _object(value: object, at: str) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise BadInput(f"must be an object; got {shown(value)}.", field=at)


def _unknown(what: str, at: str, known: Iterable[str]) -> BadInput:
    return BadInput(f"is not a {what} known here.", field=at, hint=f"There are {', '.join(known)}.")
