"""Finding groups of requests: a walk to the newest, then the figures of those on the page."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.aggregate import UsageSums, VerdictSums
from gateway.domain.filter import Filter
from gateway.domain.group import GroupedBy, Place, RequestGroup
from gateway.store import grouping
from gateway.store.relational.connection import Connection
from gateway.store.text import list_from_json


def newest_groups(
    connection: Connection,
    by: GroupedBy,
    where: Filter,
    after: Place | None,
    limit: int,
    tenant: str | None,
) -> list[RequestGroup]:
    """Return the groups that a walk meets next, at most so many, with the figures of all their requests."""
    if after is None:
        top: int = connection.execute(grouping.LAST_SEQ).fetchone()[0]
        after = Place(top, top + 1)
    places: dict[str, Place] = {}
    for name, place in _met(connection, by, where, after, tenant):
        if len(places) == limit:
            break
        places[name] = place
    return _with_figures(connection, by, places, tenant)


def _met(
    connection: Connection, by: GroupedBy, where: Filter, after: Place, tenant: str | None
) -> Iterator[tuple[str, Place]]:
    """The groups that come after a place, each where it is met first."""
    met: set[str] = set()
    dialect = connection.dialect
    walk = grouping.walk(by, where, after, tenant, dialect)
    for seq, name in connection.walk(walk.sql, walk.values):
        if name in met:
            continue
        met.add(name)
        before = grouping.met_before(by, name, where, after, tenant, dialect)
        if not connection.execute(before.sql, before.values).fetchone()[0]:
            yield name, Place(after.top, seq)


def _with_figures(
    connection: Connection, by: GroupedBy, places: dict[str, Place], tenant: str | None
) -> list[RequestGroup]:
    usage = grouping.usage(by, list(places), tenant, connection.dialect)
    verdicts = grouping.verdicts(by, list(places), tenant, connection.dialect)
    said = {name: VerdictSums(*sums) for name, *sums in connection.execute(verdicts.sql, verdicts.values)}
    groups = {
        name: RequestGroup(
            name=name,
            place=places[name],
            started_at_us=started_at_us,
            ended_at_us=ended_at_us,
            traces=traces,
            models=tuple(sorted(list_from_json(models))),
            users=tuple(sorted(list_from_json(users))),
            usage=UsageSums(*sums),
            verdicts=said.get(name, VerdictSums()),
        )
        for name, started_at_us, ended_at_us, traces, models, users, *sums in connection.execute(
            usage.sql, usage.values
        )
    }
    return [groups[name] for name in places]
