"""Groups of requests → SELECT statements: the walk that finds the newest, and their figures.

A walk goes from the end of the log to its beginning, so it reads about as many rows as it takes
to meet the groups of one page, however long the log is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain.filter import All, Filter, Is, Op
from gateway.domain.group import GroupedBy, Place
from gateway.store.aggregates import VERDICT_SUMS, usage_sums
from gateway.store.computed import IS_VERDICT, REQUEST_EXPRESSIONS
from gateway.store.dialect import Dialect
from gateway.store.filters import Query, condition
from gateway.store.tables import REQUESTS
from gateway.store.text import list_to_json, storable

_INDEXES: Mapping[GroupedBy, str] = {
    GroupedBy.TRACE: "requests_trace",
    GroupedBy.SESSION: "requests_session",
}
"""The index by which the requests of single groups are found. It is named, since a group has few rows, and a
condition or a tenant may have an index of its own with very many."""

LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM requests"


def walk(by: GroupedBy, where: Filter, after: Place, tenant: str | None, dialect: Dialect) -> Query:
    """Return the statement for `seq` and group of the matching rows that follow a place, the newest first."""
    found = condition(REQUESTS, All((Is("seq", Op.LT, after.seq), where)), tenant, dialect)
    return Query(
        f'SELECT seq, "{by}" FROM requests WHERE "{by}" IS NOT NULL AND {found.sql} ORDER BY seq DESC',
        found.values,
    )


def met_before(
    by: GroupedBy, name: str, where: Filter, after: Place, tenant: str | None, dialect: Dialect
) -> Query:
    """Return the statement for whether a walk has met a group up to a place."""
    so_far = (Is("seq", Op.GE, after.seq), Is("seq", Op.LE, after.top))
    found = condition(REQUESTS, All((Is(by, Op.EQ, name), *so_far, where)), tenant, dialect)
    return Query(f"SELECT EXISTS (SELECT 1 FROM {_requests(by, dialect)} WHERE {found.sql})", found.values)


def usage(by: GroupedBy, names: Sequence[str], tenant: str | None, dialect: Dialect) -> Query:
    """Return the statement for what the requests of groups took: after the name when they started and ended, how
    many traces, which models and users as JSON, and `UsageSums`."""
    of_tenant = _of_tenant(tenant)
    model = REQUEST_EXPRESSIONS["any_model"].spell(dialect)
    return Query(
        f'SELECT "{by}", min(started_at_us), max(ended_at_us), count(DISTINCT trace_id),'
        f" {dialect.distinct_list(model)}, {dialect.distinct_list('requests.user')}, {usage_sums(dialect)}"
        f' FROM {_requests(by, dialect)} WHERE "{by}" {dialect.among_texts("?")}{of_tenant.sql} GROUP BY 1',
        (list_to_json(names), *of_tenant.values),
    )


def verdicts(by: GroupedBy, names: Sequence[str], tenant: str | None, dialect: Dialect) -> Query:
    """Return the statement for what was said of the requests of groups: after the name `VerdictSums`."""
    of_tenant = _of_tenant(tenant)
    return Query(
        f'SELECT requests."{by}", {VERDICT_SUMS}'
        f" FROM {_requests(by, dialect)} JOIN feedback ON feedback.request_seq = requests.seq"
        f' WHERE requests."{by}" {dialect.among_texts("?")} AND feedback.deleted_at_us IS NULL'
        f" AND {IS_VERDICT}{of_tenant.sql} GROUP BY 1",
        (list_to_json(names), *of_tenant.values),
    )


def _requests(by: GroupedBy, dialect: Dialect) -> str:
    return dialect.by_index("requests", _INDEXES[by])


def _of_tenant(tenant: str | None) -> Query:
    return Query("", ()) if tenant is None else Query(" AND requests.tenant = ?", (storable(tenant),))
