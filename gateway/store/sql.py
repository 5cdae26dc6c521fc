"""Filters, orders and pages → SELECT statements. Values are always bound, names are checked against a list."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.filter import Filter, Page, Sort
from gateway.errors import BadInput
from gateway.store.dialect import Dialect
from gateway.store.filters import Query, condition, field_operand
from gateway.store.operands import Operand
from gateway.store.tables import Table, quoted
from gateway.store.text import MAX_INTEGER, numbers_to_json

MAX_SORT_FIELDS = 20
"""Most fields to sort by."""

RANDOM = "random"
"""Instead of a field to sort by: in another order each time."""
_RANDOM = Operand("random()", "number", may_be_null=False)


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


def _count(name: str, number: int) -> int:
    if not 0 <= number <= MAX_INTEGER:
        raise BadInput(f"must be at least 0, not {number}.", field=name)
    return number
