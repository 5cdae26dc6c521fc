"""Filters, orders and pages to SELECT statements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from gateway.errors import BadInput
from gateway.models.filters import (
    MAX_FILTER_TERMS,
    AllOf,
    AnyOf,
    Comparison,
    FeedbackFilter,
    Filter,
    Not,
    Op,
    Page,
    Scalar,
    Sort,
    filter_uses_field,
)
from gateway.store import schema
from gateway.store.dialect import Dialect, ValueKind
from gateway.store.rows import MAX_INTEGER, clean_text, numbers_to_json


@dataclass(frozen=True, slots=True)
class Operand:
    """A field in SQL; `values` are bound to its placeholders."""

    sql: str
    kind: ValueKind
    values: tuple[str, ...] = ()
    is_column: bool = False
    may_be_null: bool = True

    def with_test(self, function: str, test: str) -> str:
        """Return the condition that the value passes a test, never NULL; `function` begins a call that it ends."""
        if self.is_column:
            return f"({self.sql} IS NOT NULL AND {function}{self.sql} {test})"
        return f"coalesce({function}{self.sql} {test}, FALSE)"


def find_operand(table: schema.Table, name: str, dialect: Dialect) -> Operand | None:
    """Return the SQL of a field; None if the table has no such field."""
    if name in table.kinds:
        may_be_null = name not in table.required
        column = f'"{name}"'
        sql = dialect.without_index(column) if name in table.not_searched else column
        return Operand(sql, table.kinds[name], is_column=True, may_be_null=may_be_null)
    if expression := table.expressions.get(name):
        return Operand(expression.to_sql(dialect), expression.kind)
    for prefix, expression in table.named_expressions.items():
        if name.startswith(prefix):
            name = clean_text(name.removeprefix(prefix))
            return Operand(expression.to_sql(dialect), expression.kind, (name,))
    return None


# Deepest nesting of a filter; AllOf directly in AllOf, and AnyOf in AnyOf, count as one level. SQLite's parser
# takes a little more.
MAX_DEPTH = 20
# Most values in a filter, those of IN included. SQLite takes a few more.
MAX_VALUES = 30_000
# Longest LIKE pattern, in characters.
MAX_PATTERN = 1_000

_METADATA = "metadata."
_ORDERINGS = {Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">="}
_KINDS: tuple[ValueKind, ...] = ("text", "number", "flag")
_ASCII_LOWER = {ord(letter): letter.lower() for letter in ascii_uppercase}
_NEVER = "FALSE"
_ALWAYS = "TRUE"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, or a part of one, and the values to bind."""

    sql: str
    values: tuple[str | int | float, ...]


def where_clause(table: schema.Table, where: Filter, tenant: str | None, dialect: Dialect) -> Query:
    """Return the condition behind WHERE. Raises BadInput."""
    compiler = _Compiler(table, dialect)
    clauses = []
    if tenant is not None:
        clauses.append('"tenant" = ?')
        compiler.values.append(clean_text(tenant))
    clauses.append(compiler.compile(where, MAX_DEPTH))
    return Query(" AND ".join(clauses), tuple(compiler.values))


def field_operand(table: schema.Table, name: str, dialect: Dialect) -> Operand:
    """Return the SQL of a field. Raises BadInput for an unknown field."""
    if operand := find_operand(table, name, dialect):
        return operand
    raise _unknown_field(table, name)


def _unknown_field(table: schema.Table, name: str) -> BadInput:
    return BadInput(
        f"there is no field {name!r} to search {table.name} by.",
        field=name,
        hint=f"There are {', '.join([*table.kinds, *table.expressions])} and metadata.KEY.",
    )


@dataclass(slots=True)
class _Compiler:
    """Compiles one filter; collects the values to bind."""

    table: schema.Table
    dialect: Dialect
    values: list[str | int | float] = field(default_factory=list)
    terms: int = 0

    def compile(self, where: Filter, depth: int) -> str:
        self.terms += 1
        if depth == 0 or self.terms > MAX_FILTER_TERMS or len(self.values) > MAX_VALUES:
            raise BadInput(
                f"a filter may be {MAX_DEPTH} levels deep and hold {MAX_FILTER_TERMS} conditions and "
                f"{MAX_VALUES:,} values.",
                field="filter",
            )
        if isinstance(where, Comparison):
            return self._is(where)
        if isinstance(where, Not):
            return f"NOT ({self.compile(where.part, depth - 1)})"
        if isinstance(where, FeedbackFilter):
            return self._joined(where, depth)
        joiner, empty = (" AND ", _ALWAYS) if isinstance(where, AllOf) else (" OR ", _NEVER)
        # SQLite leaves off at the first part that decides; a costly one should come last.
        plain: list[Filter] = []
        on_bodies: list[Filter] = []
        for part in sorted(_flatten(where), key=lambda part: isinstance(part, FeedbackFilter)):
            (on_bodies if self._searches_bodies(part) else plain).append(part)
        compiled = [self.compile(part, depth - 1) for part in plain]
        if len(on_bodies) > 1:
            outside, self.dialect = self.dialect, self.dialect.inside_bodies
            bodies = joiner.join([self.compile(part, depth - 1) for part in on_bodies])
            compiled.append(outside.with_bodies(bodies))
            self.dialect = outside
        else:
            compiled += [self.compile(part, depth - 1) for part in on_bodies]
        return f"({joiner.join(compiled) or empty})"

    def _joined(self, where: FeedbackFilter, depth: int) -> str:
        if self.table not in (schema.REQUESTS, schema.FEEDBACK):
            raise BadInput(f"nothing is joined to {self.table.name}.", field="filter")
        if self.table is schema.FEEDBACK:
            other, is_joined = schema.REQUESTS, "requests.seq = feedback.request_seq"
        else:
            other, is_joined = schema.FEEDBACK, schema.is_about_request(self.dialect)
            if where.is_counted:
                is_joined = schema.COUNTS_FOR_REQUEST
        outer, self.table = self.table, other
        part = self.compile(where.part, depth - 1)
        self.table = outer
        return f"EXISTS (SELECT 1 FROM {other.name} WHERE {is_joined} AND {part})"

    def _searches_bodies(self, where: Filter) -> bool:
        return any(filter_uses_field(where, name) for name in self.table.costly)

    def _is(self, condition: Comparison) -> str:
        name, op, value = condition.field, condition.op, condition.value
        if isinstance(value, tuple) != (op is Op.IN):
            raise BadInput(f"{op} takes {'a list of values' if op is Op.IN else 'one value'}.", field=name)
        if isinstance(value, tuple):
            return self._is_one_of(name, value)
        if op is Op.NE:
            return f"NOT ({self._equals(name, value)})"
        if op is Op.EQ or (value is None and op in (Op.LE, Op.GE)):
            return self._equals(name, value)
        if op not in _ORDERINGS:
            return self._matches_text(name, op, value)
        if value is None:
            return self._check_field(name, _NEVER)
        return self._holds(name, f"{_ORDERINGS[op]} ?", value)

    def _equals(self, name: str, value: Scalar) -> str:
        return self._is_missing(name) if value is None else self._holds(name, "= ?", value)

    def _is_one_of(self, name: str, values: tuple[Scalar, ...]) -> str:
        parts = [self._is_missing(name)] if None in values else []
        for kind in _KINDS:
            present = [value for value in values if value is not None and _kind_of(value) == kind]
            if present:
                marks = ", ".join("?" * len(present))
                parts.append(self._holds(name, f"IN ({marks})", *present))
        return f"({' OR '.join(parts)})" if parts else self._check_field(name, _NEVER)

    def _matches_text(self, name: str, op: Op, value: Scalar) -> str:
        if not isinstance(value, str):
            raise BadInput(f"{op} takes a text.", field=name)
        if op is Op.CONTAINS:
            return self._holds(name, ", ?) > 0", value, function=self.dialect.position_call)
        if op is Op.ICONTAINS:
            lowered = value.translate(_ASCII_LOWER)
            return self._holds(name, "), ?) > 0", lowered, function=f"{self.dialect.position_call}lower(")
        if len(value) > MAX_PATTERN:
            raise BadInput(f"a pattern may have {MAX_PATTERN:,} characters.", field=name)
        if op is Op.ILIKE:
            return self._holds(name, self.dialect.like_in_any_case, value)
        return self._holds(name, *self.dialect.like(value))

    def _holds(self, name: str, test: str, *values: str | float, function: str = "") -> str:
        kind = _kind_of(values[0])
        self._check_field(name, "")
        if name.startswith(_METADATA):
            self.values.append(clean_text(name.removeprefix(_METADATA)))
            has_value = self.dialect.metadata_matches(kind, function, test)
        else:
            operand = field_operand(self.table, name, self.dialect)
            if kind != operand.kind:
                raise BadInput(f"is a {operand.kind}, which cannot be compared with a {kind}.", field=name)
            self.values.extend(operand.values)
            has_value = operand.with_test(function, test)
        self.values.extend(_bindable(name, value) for value in values)
        return has_value

    def _is_missing(self, name: str) -> str:
        self._check_field(name, "")
        if not name.startswith(_METADATA):
            operand = field_operand(self.table, name, self.dialect)
            self.values.extend(operand.values)
            return f"{operand.sql} IS NULL"
        self.values.append(clean_text(name.removeprefix(_METADATA)))
        return self.dialect.metadata_is_missing

    def _check_field(self, name: str, sql: str) -> str:
        if not name.startswith(_METADATA):
            field_operand(self.table, name, self.dialect)
        return sql


def _flatten(group: AllOf | AnyOf) -> list[Filter]:
    parts: list[Filter] = []
    waiting = list(reversed(group.parts))
    while waiting:
        part = waiting.pop()
        if isinstance(part, AllOf | AnyOf) and type(part) is type(group):
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
        return clean_text(str(value))
    if abs(value) > MAX_INTEGER if isinstance(value, int) else not math.isfinite(value):
        raise BadInput("must be a finite number of at most 64 bits.", field=name)
    return value


# Most fields to sort by.
MAX_SORT_FIELDS = 20

# A sort key instead of a field: a different order each time.
RANDOM = "random"
_RANDOM = Operand("random()", "number", may_be_null=False)


def select_rows(
    table: schema.Table,
    where: Filter,
    sort: Sort,
    page: Page,
    tenant: str | None,
    dialect: Dialect,
    *,
    candidate_seqs: Sequence[int] | None = None,
    candidate_column: str = "seq",
) -> Query:
    """Select one page of a table, if given only rows with one of `candidate_seqs` in a column. Raises BadInput."""
    found = where_clause(table, where, tenant, dialect)
    if candidate_seqs is not None:
        is_among = f'"{candidate_column}" {dialect.in_numbers("?")}'
        found = Query(f"{is_among} AND {found.sql}", (numbers_to_json(candidate_seqs), *found.values))
    order = _order_by(table, sort, dialect)
    limit, offset = _page_number("limit", page.limit), _page_number("offset", page.offset)
    sql = (
        f"SELECT {table.column_list} FROM {table.name} WHERE {found.sql}"
        f" ORDER BY {order.sql} LIMIT ? OFFSET ?"
    )
    return Query(sql, (*found.values, *order.values, limit, offset))


def count_rows(found: Query) -> Query:
    """Select the number of rows of a statement."""
    return Query(f"SELECT count(*) FROM ({found.sql}) AS found", found.values)


def _order_by(table: schema.Table, sort: Sort, dialect: Dialect) -> Query:
    keys: dict[str, str] = {}
    values: list[str] = []
    key: Sort | None = sort
    while key is not None:
        operand = _RANDOM if key.field == RANDOM else field_operand(table, key.field, dialect)
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


def _page_number(name: str, number: int) -> int:
    if not 0 <= number <= MAX_INTEGER:
        raise BadInput(f"must be at least 0, not {number}.", field=name)
    return number
