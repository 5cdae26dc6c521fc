"""SQL of what each person says of the requests of a group, for comparisons; read from rollups of past days."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.models import metrics
from gateway.models.feedback import Source
from gateway.models.filters import Scalar, filter_uses_field
from gateway.store import aggregates
from gateway.store.dialect import Dialect
from gateway.store.filters import Query, where_clause
from gateway.store.packed_sums import SumsByName
from gateway.store.schema import REQUESTS

# Fields of requests by which these rollups are split.
PEOPLE_FIELDS = (
    aggregates.NO_FIELD, "provider", "any_model", "key_name", "organisation", "prompt", "environment",
)  # fmt: skip
# Of an hour there would be nearly as many persons as entries.
PEOPLE_SPANS = (metrics.QUARTER_DAY_US, metrics.DAY_US, metrics.WEEK_US)

# Rollups are of what people say.
ROLLED_UP_SOURCE = Source.HUMAN

_SUM_NAMES = metrics.PersonSums._fields
PEOPLE_COLUMNS = ("people", *_SUM_NAMES)
_SUMS = (
    "count(*)",
    "sum(CASE WHEN coalesce(grade, score) > 0 THEN 1 ELSE 0 END)",
    "sum(CASE WHEN author IS NULL THEN 1 ELSE 0 END)",
    "sum(weight)",
    "sum(weight * score)",
)
NAMED_SUMS = ", ".join(f"{sql} AS {name}" for sql, name in zip(_SUMS, _SUM_NAMES, strict=True))

# A person without a name is the user who asked; without one, each request is a person of its own. A model or a
# program is one author of very many entries, so these are separated by who asked.
_OF_USER = 'coalesce(requests."user", requests.request_id)'
_PERSONS = {
    source: f"coalesce(said.author, {_OF_USER})" if source in (Source.HUMAN, Source.IMPLICIT) else _OF_USER
    for source in Source
}


def _latest_entries(source: Source, groups: str, where: str, join: str) -> str:
    """Select the latest rating of each person on each request."""
    person = _PERSONS[source]
    return f"""
SELECT * FROM (
    SELECT requests.tenant AS tenant, {groups}, {person} AS person,
        said.author, said.weight, said.score, said.grade,
        row_number() OVER (
            PARTITION BY said.request_seq, {person} ORDER BY said.updated_at_us DESC, said.entry DESC
        ) AS place
    FROM (
        SELECT seq AS entry, request_seq, author, weight, score, grade, updated_at_us FROM feedback
        WHERE request_started_at_us >= ? AND request_started_at_us < ? AND request_seq IS NOT NULL
            AND deleted_at_us IS NULL AND score IS NOT NULL AND weight > 0 AND source = '{source}'
            AND (kind <> 'score' OR metric IS NULL)
    ) AS said {join} requests ON requests.seq = said.request_seq
    WHERE {where}
) AS entries WHERE place = 1"""


# What counts of an entry, and whose it is.
ENTRY_COLUMNS = ("person", "author", "weight", "score", "grade")


def latest_entries_with_requests(dialect: Dialect) -> str:
    """Return a source of the latest ratings with their requests; two times are bound."""
    latest = _latest_entries(
        ROLLED_UP_SOURCE, "said.request_seq AS request_seq", "TRUE", dialect.ordered_join
    )
    columns = ", ".join(("request_seq", *ENTRY_COLUMNS))
    return (
        f"(SELECT {columns} FROM ({latest}) AS rated) AS latest"
        f" {dialect.ordered_join} requests ON requests.seq = latest.request_seq"
    )


def people_columns(dialect: Dialect) -> str:
    """Return the SQL of persons and their `NAMED_SUMS`, to be packed."""
    return ", ".join(map(dialect.json_column, ("person", *_SUM_NAMES)))


def people_rollup_query(from_us: int, to_us: int, dialect: Dialect) -> Query:
    """Select field, tenant, value, persons and their sums, for the rollups of a day."""
    named = (field for field in PEOPLE_FIELDS if field)
    groups = ", ".join(f'{aggregates.group_operand(field, dialect).sql} AS "{field}"' for field in named)
    parts = " UNION ALL ".join(_rollup_part(field, dialect) for field in PEOPLE_FIELDS)
    latest = _latest_entries(ROLLED_UP_SOURCE, groups, "TRUE", dialect.ordered_join)
    return Query(f"WITH rows AS MATERIALIZED ({latest}) {parts}", (from_us, to_us))


def _rollup_part(field: str, dialect: Dialect) -> str:
    value = dialect.rollup_value(f'"{field}"' if field else "NULL")
    return (
        f"SELECT '{field}', tenant, value, {people_columns(dialect)}"
        f" FROM (SELECT tenant, {value} AS value, person, {NAMED_SUMS} FROM rows"
        f" GROUP BY 1, 2, 3) AS persons GROUP BY 2, 3"
    )


def people_query(
    spec: metrics.MetricsQuery, source: Source, segment: aggregates.Segment, dialect: Dialect
) -> Query:
    """Select group, person and `PersonSums` from rows."""
    group = aggregates.request_group(spec.group_by, dialect)
    found = where_clause(REQUESTS, spec.where, spec.tenant, dialect)
    # These have indexes that find few requests; others would find most, and then the feedback on each.
    is_narrow = any(filter_uses_field(spec.where, name) for name in aggregates.HIGH_CARDINALITY_FIELDS)
    join = "JOIN" if is_narrow else dialect.ordered_join
    latest = _latest_entries(source, f"{group.sql} AS value", found.sql, join)
    return Query(
        f"SELECT value, person, {NAMED_SUMS} FROM ({latest}) AS latest GROUP BY 1, 2",
        (*group.values, segment.from_us, segment.to_us, *found.values),
    )


class PeopleSums:
    """Sums by group and person, put together from rows and rollups."""

    def __init__(self, value_of: Callable[[Any], Scalar]) -> None:
        self._value_of = value_of
        self._sums: dict[Scalar, SumsByName] = defaultdict(lambda: SumsByName(len(_SUM_NAMES)))

    def add_rows(self, rows: Iterable[Sequence[Any]]) -> None:
        by_value: dict[Any, list[Sequence[Any]]] = defaultdict(list)
        for value, *of_person in rows:
            by_value[value].append(of_person)
        for value, people in by_value.items():
            self._sums[self._value_of(value)].add_rows(people)

    def add_rollups(self, rows: Iterable[Sequence[Any]]) -> None:
        for value, people, *columns in rows:
            self._sums[self._value_of(value)].add_packed(people, columns)

    def by_group(self) -> dict[Scalar, Mapping[str, metrics.PersonSums]]:
        return {value: metrics.People(*sums.totals()) for value, sums in self._sums.items()}
