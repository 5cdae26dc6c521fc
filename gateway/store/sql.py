"""Filter trees, orders and pages → SELECT statements. Values are always bound, names are checked against a
list.

A missing value is NULL in a column and an absent or null member in metadata. Each condition is written so
that it is true or false, never NULL; so NOT means what it says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.filter import MAX_TERMS, All, Any, Filter, Is, Not, Op, Page, Scalar, Sort, mentions
from gateway.errors import BadInput
from gateway.store.dialect import Dialect, ValueKind
from gateway.store.operands import Operand, operand_of
from gateway.store.tables import Table, quoted
from gateway.store.text import MAX_INTEGER, numbers_to_json, storable

MAX_DEPTH = 20
"""Deepest nesting of a filter, where All directly in All, and Any in Any, count as one level. SQLite's parser
takes a little more."""
MAX_VALUES = 30_000
"""Most values in one filter, those of IN included. SQLite takes a few more."""
MAX_PATTERN = 1_000
"""Longest LIKE pattern, in characters."""
MAX_SORT_FIELDS = 20
"""Most fields to sort by."""

RANDOM = "random"
"""Instead of a field to sort by: in another order each time."""
_RANDOM = Operand("random()", "number", may_be_null=False)

_METADATA = "metadata."
_ORDERINGS = {Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">="}
_KINDS: tuple[ValueKind, ...] = ("text", "number", "flag")
_NEVER = "FALSE"
_ALWAYS = "TRUE"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, or a part of one, and the values to bind to it."""

    sql: str
    values: tuple[str | int | float, ...]


def select(
    table: Table,
    where: Filter,
    sort: Sort,
    page: Page,
    tenant: str | None,
    dialect: Dialect,
    *,
    among: Sequence[int] | None = None,
) -> Query:
    """Return the statement that finds one page of a table's rows.

    Args:
        tenant: adds the condition that rows are this tenant's; None adds none.
        among: the `seq`s of the rows that are looked at; None: all.

    Raises:
        BadInput: an unknown field, a value of the wrong kind, a page that is none, or a filter too large.
    """
    found = condition(table, where, tenant, dialect)
    if among is not None:
        is_among = f'"seq" {dialect.among_numbers("?")}'
        found = Query(f"{is_among} AND {found.sql}", (numbers_to_json(among), *found.values))
    order = _order(table, sort, dialect)
    limit, offset = _count("limit", page.limit), _count("offset", page.offset)
    sql = (
        f"SELECT {quoted(table.columns)} FROM {table.name} WHERE {found.sql}"
        f" ORDER BY {order.sql} LIMIT ? OFFSET ?"
    )
    return Query(sql, (*found.values, *order.values, limit, offset))


def condition(table: Table, where: Filter, tenant: str | None, dialect: Dialect) -> Query:
    """Return what must hold of a table's rows, as it stands behind WHERE.

    Raises:
        BadInput: an unknown field, a value of the wrong kind, or a filter too large.
    """
    compiler = _Compiler(table, dialect)
    clauses = []
    if tenant is not None:
        clauses.append('"tenant" = ?')
        compiler.values.append(storable(tenant))
    clauses.append(compiler.compile(where, MAX_DEPTH))
    return Query(" AND ".join(clauses), tuple(compiler.values))


def count(
    table: Table,
    where: Filter,
    page: Page,
    tenant: str | None,
    dialect: Dialect,
    *,
    among: Sequence[int] | None = None,
) -> Query:
    """Return the statement that tells how many rows such a page has. Raises BadInput as `select` does."""
    found = select(table, where, Sort(), page, tenant, dialect, among=among)
    return Query(f"SELECT count(*) FROM ({found.sql}) AS found", found.values)


def _order(table: Table, sort: Sort, dialect: Dialect) -> Query:
    keys: dict[str, str] = {}
    values: list[str] = []
    key: Sort | None = sort
    while key is not None:
        operand = _RANDOM if key.field == RANDOM else _operand(table, key.field, dialect)
        if key.field not in keys:
            keys[key.field] = dialect.order(
                operand.sql, descending=key.descending, may_be_null=operand.may_be_null
            )
            values.extend(operand.values)
        if len(keys) > MAX_SORT_FIELDS:
            raise BadInput(f"results can be sorted by {MAX_SORT_FIELDS} fields.", field="sort")
        key = key.then
    keys.setdefault("seq", '"seq" ASC')
    return Query(", ".join(keys.values()), tuple(values))


def _operand(table: Table, name: str, dialect: Dialect) -> Operand:
    if operand := operand_of(table, name, dialect):
        return operand
    raise _unknown(table, name)


def _count(name: str, number: int) -> int:
    if not 0 <= number <= MAX_INTEGER:
        raise BadInput(f"must be at least 0, not {number}.", field=name)
    return number


def _unknown(table: Table, name: str) -> BadInput:
    return BadInput(
        f"there is no field {name!r} to search {table.name} by.",
        field=name,
        hint=f"There are {', '.join([*table.kinds, *table.expressions])} and metadata.KEY.",
    )


@dataclass(slots=True)
class _Compiler:
    """One tree on its way to a condition; gathers the values to bind in the order of their marks."""

    table: Table
    dialect: Dialect
    values: list[str | int | float] = field(default_factory=list)
    terms: int = 0

    def compile(self, where: Filter, depth: int) -> str:
        self.terms += 1
        if depth == 0 or self.terms > MAX_TERMS or len(self.values) > MAX_VALUES:
            raise BadInput(
                f"a filter may be {MAX_DEPTH} levels deep and hold {MAX_TERMS} conditions and "
                f"{MAX_VALUES:,} values.",
                field="filter",
            )
        if isinstance(where, Is):
            return self._is(where)
        if isinstance(where, Not):
            return f"NOT ({self.compile(where.part, depth - 1)})"
        joiner, empty = (" AND ", _ALWAYS) if isinstance(where, All) else (" OR ", _NEVER)
        cheap: list[Filter] = []
        costly: list[Filter] = []
        for part in _flat(where):
            (costly if self._is_costly(part) else cheap).append(part)
        # SQLite leaves off at the first part that decides; one that costs much should not be asked before.
        compiled = [self.compile(part, depth - 1) for part in cheap]
        if len(costly) > 1:
            outside, self.dialect = self.dialect, self.dialect.within_texts
            compiled.append(
                outside.with_texts(joiner.join([self.compile(part, depth - 1) for part in costly]))
            )
            self.dialect = outside
        else:
            compiled += [self.compile(part, depth - 1) for part in costly]
        return f"({joiner.join(compiled) or empty})"

    def _is_costly(self, where: Filter) -> bool:
        return any(mentions(where, name) for name in self.table.costly)

    def _is(self, condition: Is) -> str:
        name, op, value = condition.field, condition.op, condition.value
        if isinstance(value, tuple) != (op is Op.IN):
            raise BadInput(f"{op} takes {'a list of values' if op is Op.IN else 'one value'}.", field=name)
        if isinstance(value, tuple):
            return self._is_one_of(name, value)
        if op is Op.NE:
            return f"NOT ({self._equals(name, value)})"
        if op is Op.EQ or (value is None and op in (Op.LE, Op.GE)):
            return self._equals(name, value)
        if op in _ORDERINGS:
            return (
                self._check(name, _NEVER)
                if value is None
                else self._holds(name, f"{_ORDERINGS[op]} ?", value)
            )
        return self._matches(name, op, value)

    def _equals(self, name: str, value: Scalar) -> str:
        return self._is_missing(name) if value is None else self._holds(name, "= ?", value)

    def _is_one_of(self, name: str, values: tuple[Scalar, ...]) -> str:
        parts = [self._is_missing(name)] if None in values else []
        for kind in _KINDS:
            present = [value for value in values if value is not None and _kind_of(value) == kind]
            if present:
                marks = ", ".join("?" * len(present))
                parts.append(self._holds(name, f"IN ({marks})", *present))
        return f"({' OR '.join(parts)})" if parts else self._check(name, _NEVER)

    def _matches(self, name: str, op: Op, value: Scalar) -> str:
        if not isinstance(value, str):
            raise BadInput(f"{op} takes a text.", field=name)
        if op is Op.CONTAINS:
            return self._holds(name, ", ?) > 0", value, function=self.dialect.position_of)
        if len(value) > MAX_PATTERN:
            raise BadInput(f"a pattern may have {MAX_PATTERN:,} characters.", field=name)
        if op is Op.ILIKE:
            return self._holds(name, self.dialect.like_in_any_case(), value)
        return self._holds(name, *self.dialect.like(value))

    def _holds(self, name: str, test: str, *values: str | float, function: str = "") -> str:
        """Write that a field has a value of the kind of `values`, and that the test on it holds."""
        kind = _kind_of(values[0])
        self._check(name, "")
        if name.startswith(_METADATA):
            self.values.append(storable(name.removeprefix(_METADATA)))
            has_value = self.dialect.metadata_holds(kind, function, test)
        else:
            operand = _operand(self.table, name, self.dialect)
            _refuse_other_kind(name, kind, operand.kind)
            self.values.extend(operand.values)
            has_value = operand.that_holds(function, test)
        self.values.extend(_bindable(name, value) for value in values)
        return has_value

    def _is_missing(self, name: str) -> str:
        self._check(name, "")
        if not name.startswith(_METADATA):
            operand = _operand(self.table, name, self.dialect)
            self.values.extend(operand.values)
            return f"{operand.sql} IS NULL"
        self.values.append(storable(name.removeprefix(_METADATA)))
        return self.dialect.metadata_lacks()

    def _check(self, name: str, sql: str) -> str:
        if not name.startswith(_METADATA):
            _operand(self.table, name, self.dialect)
        return sql


def _refuse_other_kind(name: str, kind: ValueKind, expected: ValueKind) -> None:
    if kind != expected:
        raise BadInput(f"is a {expected}, which cannot be compared with a {kind}.", field=name)


def _flat(group: All | Any) -> list[Filter]:
    """The parts of a group and of the groups of its sort that are directly in it."""
    parts: list[Filter] = []
    waiting = list(reversed(group.parts))
    while waiting:
        part = waiting.pop()
        if isinstance(part, All | Any) and type(part) is type(group):
            waiting.extend(reversed(part.parts))
        else:
            parts.append(part)
    return parts


def _kind_of(value: str | float) -> ValueKind:
    if isinstance(value, str):
        return "text"
    return "flag" if isinstance(value, bool) else "number"


def _bindable(name: str, value: str | float) -> str | int | float:
    if isinstance(value, str):
        return storable(str(value))
    if abs(value) > MAX_INTEGER if isinstance(value, int) else not math.isfinite(value):
        raise BadInput("must be a finite number of at most 64 bits.", field=name)
    return value
