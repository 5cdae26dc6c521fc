"""What a field's name stands for in SQL: a column, or an expression worked out from the row."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.dialect import Dialect, ValueKind
from gateway.store.tables import Table
from gateway.store.text import storable


@dataclass(frozen=True, slots=True)
class Operand:
    """A field in a statement.

    Args:
        values: what is to be bound to the marks in `sql`.
        is_column: whether the database can look it up in an index.
        may_be_null: whether rows may have no value there.
    """

    sql: str
    kind: ValueKind
    values: tuple[str, ...] = ()
    is_column: bool = False
    may_be_null: bool = True

    def that_holds(self, function: str, test: str) -> str:
        """Write that this has a value and that the test on it holds: true or false, never NULL.

        Args:
            function: the beginning of a call that the test ends, or nothing.
        """
        if self.is_column:
            return f"({self.sql} IS NOT NULL AND {function}{self.sql} {test})"
        return f"coalesce({function}{self.sql} {test}, FALSE)"


def operand_of(table: Table, name: str, dialect: Dialect) -> Operand | None:
    """Return what a name stands for in statements on a table; None if the table has no such field."""
    if name in table.kinds:
        may_be_null = name not in table.required
        return Operand(f'"{name}"', table.kinds[name], is_column=True, may_be_null=may_be_null)
    if expression := table.expressions.get(name):
        return Operand(expression.spell(dialect), expression.kind)
    for prefix, expression in table.named_expressions.items():
        if name.startswith(prefix):
            name = storable(name.removeprefix(prefix))
            return Operand(expression.spell(dialect), expression.kind, (name,))
    return None
