"""Filters, orders and pages: what SQL finds is what the words of `domain/filter.py` say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import BadInput
from gateway.models.filters import (
    MAX_FILTER_TERMS,
    NO_FILTER,
    AllOf,
    AnyOf,
    Comparison,
    Filter,
    Not,
    Op,
    Page,
    Sort,
    filter_uses_field,
)
from gateway.models.request import Facts, RequestRecord, Usage
from gateway.store import requests
from gateway.store.filters import MAX_DEPTH, MAX_SORT_FIELDS, MAX_VALUES, Query, select_rows
from gateway.store.rows import REQUEST_ROWS
from gateway.store.schema import REQUESTS
from gateway.store.sqlite.dialect import SQLITE
from tests.store.conftest import Engine
from tests.store.expected_filters import in_order, matches
from tests.store.samples import OLDEST_FIRST, exchange

TEXTS = st.text(alphabet="aAbBéÉ%_*?[]^\\'\". ", max_size=4)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([-0.5, 0.25, 1.0, 2.0, 1e300]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
KEYS = st.sampled_from(["k", "a.b", 'say "k"', "", "$", "é", "back\\slash", "_user", "k' OR 1=1 --"])
METADATA = st.dictionaries(KEYS, st.one_of(SCALARS, st.just([1, "a"]), st.just({"k": "a"})), max_size=4)

TEXT_FIELDS = st.sampled_from(["user", "error", "request_id", "model"])
NUMBER_FIELDS = st.sampled_from(["status", "started_at_us", "prompt_tokens", "seq"])
ORDERINGS = st.sampled_from([Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE])
TEXT_OPS = st.sampled_from([Op.CONTAINS, Op.ICONTAINS, Op.LIKE, Op.ILIKE])
METADATA_FIELDS = KEYS.map(lambda key: f"metadata.{key}")


def lists(values: st.SearchStrategy[str | float | None]) -> st.SearchStrategy[tuple[str | float | None, ...]]:
    return st.lists(st.one_of(st.none(), values), max_size=3).map(tuple)


CONDITIONS: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Comparison, TEXT_FIELDS, ORDERINGS, st.one_of(st.none(), TEXTS)),
    st.builds(Comparison, NUMBER_FIELDS, ORDERINGS, st.one_of(st.none(), NUMBERS)),
    st.builds(Comparison, st.just("is_stream"), ORDERINGS, st.one_of(st.none(), st.booleans())),
    st.builds(Comparison, METADATA_FIELDS, ORDERINGS, SCALARS),
    st.builds(Comparison, st.one_of(TEXT_FIELDS, METADATA_FIELDS), TEXT_OPS, TEXTS),
    st.builds(Comparison, TEXT_FIELDS, st.just(Op.IN), lists(TEXTS)),
    st.builds(Comparison, NUMBER_FIELDS, st.just(Op.IN), lists(NUMBERS)),
    st.builds(Comparison, METADATA_FIELDS, st.just(Op.IN), lists(st.one_of(TEXTS, NUMBERS, st.booleans()))),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=6,
)

ROW = st.fixed_dictionaries(
    {
        "status": st.one_of(st.none(), st.integers(-3, 3)),
        "started": st.integers(-3, 3),
        "error": st.one_of(st.none(), TEXTS),
        "metadata": METADATA,
        "is_stream": st.booleans(),
        "model": st.one_of(st.none(), TEXTS),
        "prompt_tokens": st.one_of(st.none(), st.integers(-3, 3)),
    }
)


SORTS: st.SearchStrategy[Sort] = st.recursive(
    st.builds(
        Sort,
        st.sampled_from(["status", "error", "started_at_us", "user", "model", "seq"]),
        st.booleans(),
    ),
    lambda then: st.builds(Sort, st.sampled_from(["status", "error", "prompt_tokens"]), st.booleans(), then),
    max_leaves=3,
)


def find(engine: Engine, where: Filter, sort: Sort = OLDEST_FIRST) -> list[RequestRecord]:
    return run(engine, select_rows(REQUESTS, where, sort, Page(1000), None, engine.connection.dialect))


def run(engine: Engine, query: Query) -> list[RequestRecord]:
    return [REQUEST_ROWS.from_row(row) for row in engine.connection.execute(query.sql, query.values)]


def fill(engine: Engine, rows: Sequence[dict[str, object]]) -> None:
    for number, row in enumerate(rows):
        metadata = row["metadata"]
        assert isinstance(metadata, dict)
        kind = b"text/event-stream" if row["is_stream"] else b"application/json"
        whole = exchange(
            f"r{number}",
            metadata=metadata,
            started_at_us=row["started"],  # type: ignore[arg-type]
            status=row["status"],
            error=row["error"],
            response_headers=((b"content-type", kind),),
        )
        [seq] = requests.append_exchanges(engine.connection, engine.packer, [whole])
        facts = Facts(model=row["model"], usage=Usage(prompt_tokens=row["prompt_tokens"]))  # type: ignore[arg-type]
        requests.annotate_requests(engine.connection, [(seq, facts)], 1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=5), where=FILTERS)
def test_sql_finds_what_a_plain_reading_of_the_filter_finds(
    engine: Engine, rows: list[dict[str, object]], where: Filter
) -> None:
    engine.connection.execute("BEGIN")
    try:
        fill(engine, rows)
        everything = find(engine, NO_FILTER)
        assert len(everything) == len(rows)
        assert find(engine, where) == [record for record in everything if matches(record, where)]
    finally:
        engine.connection.execute("ROLLBACK")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=8), sort=SORTS)
def test_rows_are_sorted_by_each_field_in_turn_and_keep_the_order_in_which_they_were_stored(
    engine: Engine, rows: list[dict[str, object]], sort: Sort
) -> None:
    engine.connection.execute("BEGIN")
    try:
        fill(engine, rows)
        assert find(engine, NO_FILTER, sort) == in_order(find(engine, NO_FILTER), sort)
    finally:
        engine.connection.execute("ROLLBACK")


@pytest.mark.parametrize("text", ["[a]", "a*", "?", "[", "]", "[^a]", "\\\\", "a-z"])
@pytest.mark.parametrize("op", [Op.LIKE, Op.ILIKE, Op.CONTAINS, Op.ICONTAINS])
def test_only_percent_and_underscore_stand_for_other_characters(engine: Engine, op: Op, text: str) -> None:
    requests.append_exchanges(
        engine.connection, engine.packer, [exchange(error=text), exchange(error="a"), exchange(error="b")]
    )
    assert [record.error for record in find(engine, Comparison("error", op, text))] == [text]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Comparison("nonsense", Op.EQ, 1), "nonsense"),
        (Comparison('seq" OR 1=1 --', Op.EQ, 1), "no field"),
        (Comparison("metadata", Op.EQ, "{}"), "metadata"),
        (Comparison("worker", Op.EQ, 0), "worker"),
        (Comparison("status", Op.EQ, "200"), "status: is a number"),
        (Comparison("status", Op.LIKE, "2%"), "status: is a number"),
        (Comparison("is_stream", Op.EQ, 1), "is_stream: is a flag"),
        (Comparison("model", Op.CONTAINS, 4), "takes a text"),
        (Comparison("model", Op.LIKE, None), "takes a text"),
        (Comparison("model", Op.IN, "gpt"), "takes a list"),
        (Comparison("model", Op.EQ, ("gpt",)), "takes one value"),
        (Comparison("model", Op.LIKE, "%" * 2000), "pattern"),
        (Comparison("status", Op.LT, float("nan")), "finite"),
        (Comparison("status", Op.LT, 2**70), "64 bits"),
        (Comparison("nonsense", Op.IN, ()), "nonsense"),
        (Comparison("nonsense", Op.LT, None), "nonsense"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_by_name(where: Filter, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        select_rows(REQUESTS, Not(where), Sort(), Page(), None, SQLITE)


@pytest.mark.parametrize("sort", [Sort("random()"), Sort("status", then=Sort("status; --"))])
def test_an_unknown_order_is_refused(sort: Sort) -> None:
    with pytest.raises(BadInput, match="no field"):
        select_rows(REQUESTS, NO_FILTER, sort, Page(), None, SQLITE)


def test_an_order_by_too_many_fields_is_refused() -> None:
    sort = Sort()
    for number in range(MAX_SORT_FIELDS):
        select_rows(REQUESTS, NO_FILTER, sort, Page(), None, SQLITE)
        sort = Sort(f"property.{number}", then=sort)

    with pytest.raises(BadInput, match=f"{MAX_SORT_FIELDS} fields"):
        select_rows(REQUESTS, NO_FILTER, sort, Page(), None, SQLITE)


@pytest.mark.parametrize("page", [Page(-1), Page(1, -1), Page(2**63)])
def test_a_page_that_is_none_is_refused(page: Page) -> None:
    with pytest.raises(BadInput, match=r"limit|offset"):
        select_rows(REQUESTS, NO_FILTER, Sort(), page, None, SQLITE)


NEVER = AnyOf()


def nested(depth: int) -> Filter:
    where: Filter = NO_FILTER
    for _ in range(depth):
        where = Not(where)
    return where


@pytest.mark.parametrize(
    "where",
    [
        nested(MAX_DEPTH),
        nested(100_000),
        AllOf((NEVER,) * MAX_FILTER_TERMS),
        AllOf((Comparison("seq", Op.IN, tuple(range(MAX_VALUES + 1))), NEVER)),
    ],
    ids=["deep", "very deep", "wide", "many values"],
)
def test_a_filter_that_is_too_large_is_refused(where: Filter) -> None:
    with pytest.raises(BadInput, match="filter"):
        select_rows(REQUESTS, where, Sort(), Page(), None, SQLITE)


def alternating(depth: int) -> Filter:
    leaf = Comparison("metadata.k", Op.IN, ("a", 1, True, None))
    where: Filter = leaf
    for level in range(depth):
        where = AnyOf((leaf, where)) if level % 2 else AllOf((leaf, where))
    return where


def test_a_long_chain_of_pairs_is_one_level(engine: Engine) -> None:
    where: Filter = NO_FILTER
    for _ in range(100):
        where = AllOf((Comparison("status", Op.EQ, 200), AllOf((where,))))
    find(engine, where)


def test_the_largest_filter_that_is_taken_runs(engine: Engine) -> None:
    find(engine, nested(MAX_DEPTH - 1))
    find(engine, alternating(MAX_DEPTH - 1))
    find(engine, AllOf((Comparison("metadata.k", Op.NE, "v"),) * (MAX_FILTER_TERMS - 1)))
    find(engine, AnyOf((Comparison("status", Op.LT, 1.5),) * (MAX_FILTER_TERMS - 1)))
    find(engine, Comparison("seq", Op.IN, tuple(range(MAX_VALUES))))


def test_the_tenant_condition_cannot_be_argued_away(engine: Engine) -> None:
    requests.append_exchanges(
        engine.connection, engine.packer, [exchange("a", tenant="north"), exchange("b", tenant="south")]
    )
    where, dialect = AnyOf((NO_FILTER, Comparison("tenant", Op.EQ, "south"))), engine.connection.dialect
    query = select_rows(REQUESTS, where, Sort(), Page(), "north", dialect)
    assert [record.request_id for record in run(engine, query)] == ["a"]


STRANGE = "☃' OR 1=1 --"


@pytest.mark.parametrize(
    "where",
    [
        Comparison("model", Op.EQ, STRANGE),
        Comparison("any_model", Op.LIKE, STRANGE),
        Comparison("request_text", Op.ILIKE, STRANGE),
        Comparison("user", Op.CONTAINS, STRANGE),
        Comparison("user", Op.IN, (STRANGE, None)),
        Comparison(f"metadata.{STRANGE}", Op.NE, STRANGE),
        Comparison(f"property.{STRANGE}", Op.GE, STRANGE),
        Comparison(f"score.{STRANGE}", Op.EQ, None),
    ],
)
def test_what_a_caller_writes_is_bound_and_never_part_of_the_statement(where: Filter) -> None:
    query = select_rows(REQUESTS, where, Sort(f"property.{STRANGE}"), Page(), STRANGE, SQLITE)
    assert "☃" not in query.sql
    assert query.values.count(STRANGE) == query.sql.count("?") - 2


def test_mentions_finds_a_field_anywhere_in_a_tree() -> None:
    where = AllOf(
        (Comparison("a", Op.EQ, 1), Not(AnyOf((Comparison("b", Op.EQ, 1), Comparison("c", Op.EQ, 1)))))
    )
    assert [name for name in "abcd" if filter_uses_field(where, name)] == ["a", "b", "c"]
