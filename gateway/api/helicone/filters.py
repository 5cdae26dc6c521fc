"""Filter trees: Helicone's become ours."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.api.helicone.columns import COLUMNS, NAMED, NESTED
from gateway.api.helicone.operators import Column
from gateway.domain.filter import EVERYTHING, MAX_TERMS, All, Any, Filter
from gateway.errors import BadInput
from gateway.web.validation import shown

ALL = "all"
"""The filter that every request passes."""

_NODE = {"left", "operator", "right"}


def to_filter(tree: object) -> Filter:
    """Translate a filter: `"all"`, a node of two filters, or a leaf `{table: {column: {operator: value}}}`.

    All of a leaf's conditions must hold; an empty leaf holds none, so every request passes.

    Raises:
        BadInput: a table, column, operator or value is not known or not taken here, or there are more conditions
            than a filter may have, whatever comes behind them; names it.
    """
    return _Walk().tree(tree, "filter")


class _Walk:
    """A walk through a tree, which counts conditions, and leaves without any. `at` is the path to a part."""

    def __init__(self) -> None:
        self._terms = 0

    def tree(self, tree: object, at: str) -> Filter:
        if tree == ALL or tree is None:
            self._count()
            return EVERYTHING
        given = _object(tree, at)
        if given.keys() & _NODE:
            return self._node(given, at)
        before = self._terms
        found = All(tuple(self._table(name, columns, f"{at}.{name}") for name, columns in given.items()))
        if self._terms == before:
            self._count()
        return found

    def _node(self, node: dict[str, object], at: str) -> Filter:
        if node.keys() != _NODE:
            raise BadInput("must hold left, operator and right, and nothing else.", field=at)
        sides = (self.tree(node["left"], f"{at}.left"), self.tree(node["right"], f"{at}.right"))
        match node["operator"]:
            case "and":
                return All(sides)
            case "or":
                return Any(sides)
        raise BadInput(f'must be "and" or "or"; got {shown(node["operator"])}.', field=f"{at}.operator")

    def _table(self, table: str, columns: object, at: str) -> Filter:
        given = _object(columns, at)
        if table in NAMED:
            of_name = NAMED[table]
            return All(
                tuple(self._column(of_name(name), tests, f"{at}.{name}") for name, tests in given.items())
            )
        if table not in COLUMNS:
            raise _unknown("table", at, (*COLUMNS, *NAMED))
        return All(
            tuple(self._column_of(table, name, tests, f"{at}.{name}") for name, tests in given.items())
        )

    def _column_of(self, table: str, name: str, tests: object, at: str) -> Filter:
        nested = NESTED.get(table, {})
        if name in nested:
            inner = _object(tests, at)
            return All(tuple(self._column(nested[name](key), inner[key], f"{at}.{key}") for key in inner))
        if name not in COLUMNS[table]:
            raise _unknown("column", at, (*COLUMNS[table], *nested))
        return self._column(COLUMNS[table][name], tests, at)

    def _column(self, column: Column, tests: object, at: str) -> Filter:
        return All(tuple(self._test(column, name, value, at) for name, value in _object(tests, at).items()))

    def _test(self, column: Column, operator: str, value: object, at: str) -> Filter:
        self._count()
        return _test(column, operator, value, at)

    def _count(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise BadInput(f"may hold {MAX_TERMS} conditions.", field="filter")


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
