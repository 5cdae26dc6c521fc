"""Filter trees → conditions. Values are always bound, names are checked against a list.

A missing value is NULL in a column and an absent or null member in metadata. Each condition is written so
that it is true or false, never NULL; so NOT means what it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from string import ascii_uppercase

from gateway.domain.filter import MAX_TERMS, All, Any, Filter, Is, Joined, Not, Op, Scalar, mentions
from gateway.errors import BadInput
from gateway.store.computed import COUNTS_FOR_REQUEST, is_about_request
from gateway.store.dialect import Dialect, ValueKind
from gateway.store.operands import Operand, operand_of
from gateway.store.tables import FEEDBACK, REQUESTS, Table
from gateway.store.text import MAX_INTEGER, storable

MAX_DEPTH = 20
"""Deepest nesting of a filter, where All directly in All, and Any in Any, count as one level. SQLite's parser
takes a little more."""
MAX_VALUES = 30_000
"""Most values in one filter, those of IN included. SQLite takes a few more."""
MAX_PATTERN = 1_000
"""Longest LIKE pattern, in characters."""

_METADATA = "metadata."
_ORDERINGS = {Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">="}
_KINDS: tuple[ValueKind, ...] = ("text", "number", "flag")
_ASCII_LOWER = {ord(letter): letter.lower() for letter in ascii_uppercase}
_NEVER = "FALSE"
_ALWAYS = "TRUE"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, or a part of one, and the values to bind to it."""

    sql: str
    values: tuple[str | int | float, ...]


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


def field_operand(table: Table, name: str, dialect: Dialect) -> Operand:
    """Return what a field of a table stands for. Raises BadInput where it has none of that name."""
    if operand := operand_of(table, name, dialect):
        return operand
    raise _unknown(table, name)


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
        if isinstance(where, Joined):
            return self._joined(where, depth)
        joiner, empty = (" AND ", _ALWAYS) if isinstance(where, All) else (" OR ", _NEVER)
        # SQLite leaves off at the first part that decides; one that costs much should not be asked before.
        plain: list[Filter] = []
        on_texts: list[Filter] = []
        for part in sorted(_flat(where), key=lambda part: isinstance(part, Joined)):
            (on_texts if self._is_on_texts(part) else plain).append(part)
        compiled = [self.compile(part, depth - 1) for part in plain]
        if len(on_texts) > 1:
            outside, self.dialect = self.dialect, self.dialect.within_texts
            compiled.append(
                outside.with_texts(joiner.join([self.compile(part, depth - 1) for part in on_texts]))
            )
            self.dialect = outside
        else:
            compiled += [self.compile(part, depth - 1) for part in on_texts]
        return f"({joiner.join(compiled) or empty})"

    def _joined(self, where: Joined, depth: int) -> str:
        if self.table not in (REQUESTS, FEEDBACK):
            raise BadInput(f"nothing is joined to {self.table.name}.", field="filter")
        if self.table is FEEDBACK:
            other, is_joined = REQUESTS, "requests.seq = feedback.request_seq"
        else:
            other, is_joined = FEEDBACK, is_about_request(self.dialect)
            if where.is_counted:
                is_joined = COUNTS_FOR_REQUEST
        outer, self.table = self.table, other
        part = self.compile(where.part, depth - 1)
        self.table = outer
        return f"EXISTS (SELECT 1 FROM {other.name} WHERE {is_joined} AND {part})"

    def _is_on_texts(self, where: Filter) -> bool:
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
        if op is Op.ICONTAINS:
            lowered = value.translate(_ASCII_LOWER)
            return self._holds(name, "), ?) > 0", lowered, function=f"{self.dialect.position_of}lower(")
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
            operand = field_operand(self.table, name, self.dialect)
            _refuse_other_kind(name, kind, operand.kind)
            self.values.extend(operand.values)
            has_value = operand.that_holds(function, test)
        self.values.extend(_bindable(name, value) for value in values)
        return has_value

    def _is_missing(self, name: str) -> str:
        self._check(name, "")
        if not name.startswith(_METADATA):
            operand = field_operand(self.table, name, self.dialect)
            self.values.extend(operand.values)
            return f"{operand.sql} IS NULL"
        self.values.append(storable(name.removeprefix(_METADATA)))
        return self.dialect.metadata_lacks()

    def _check(self, name: str, sql: str) -> str:
        if not name.startswith(_METADATA):
            field_operand(self.table, name, self.dialect)
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
