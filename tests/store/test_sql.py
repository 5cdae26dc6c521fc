"""Filters, orders and pages: what SQL finds is what the words of `domain/filter.py` say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.filter import EVERYTHING, MAX_TERMS, All, Any, Filter, Is, Not, Op, Page, Sort, mentions
from gateway.domain.request import Facts, RequestRecord, Usage
from gateway.errors import BadInput
from gateway.store.filters import MAX_DEPTH, MAX_VALUES, Query
from gateway.store.relational import request_log
from gateway.store.rows import record_from_row
from gateway.store.sql import MAX_SORT_FIELDS, select
from gateway.store.sqlite.dialect import SQLITE
from gateway.store.tables import REQUESTS
from tests.store.conftest import Engine
from tests.store.filtering import in_order, matches
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
    st.builds(Is, TEXT_FIELDS, ORDERINGS, st.one_of(st.none(), TEXTS)),
    st.builds(Is, NUMBER_FIELDS, ORDERINGS, st.one_of(st.none(), NUMBERS)),
    st.builds(Is, st.just("is_stream"), ORDERINGS, st.one_of(st.none(), st.booleans())),
    st.builds(Is, METADATA_FIELDS, ORDERINGS, SCALARS),
    st.builds(Is, st.one_of(TEXT_FIELDS, METADATA_FIELDS), TEXT_OPS, TEXTS),
    st.builds(Is, TEXT_FIELDS, st.just(Op.IN), lists(TEXTS)),
    st.builds(Is, NUMBER_FIELDS, st.just(Op.IN), lists(NUMBERS)),
    st.builds(Is, METADATA_FIELDS, st.just(Op.IN), lists(st.one_of(TEXTS, NUMBERS, st.booleans()))),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Any(tuple(parts))),
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
    return run(engine, select(REQUESTS, where, sort, Page(1000), None, engine.connection.dialect))


def run(engine: Engine, query: Query) -> list[RequestRecord]:
    return [record_from_row(row) for row in engine.connection.execute(query.sql, query.values)]


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
        [seq] = request_log.append(engine.connection, engine.packer, [whole])
        facts = Facts(model=row["model"], usage=Usage(prompt_tokens=row["prompt_tokens"]))  # type: ignore[arg-type]
        request_log.annotate(engine.connection, [(seq, facts)], 1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=5), where=FILTERS)
def test_sql_finds_what_a_plain_reading_of_the_filter_finds(
    engine: Engine, rows: list[dict[str, object]], where: Filter
) -> None:
    engine.connection.execute("BEGIN")
    try:
        fill(engine, rows)
        everything = find(engine, EVERYTHING)
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
        assert find(engine, EVERYTHING, sort) == in_order(find(engine, EVERYTHING), sort)
    finally:
        engine.connection.execute("ROLLBACK")


@pytest.mark.parametrize("text", ["[a]", "a*", "?", "[", "]", "[^a]", "\\\\", "a-z"])
@pytest.mark.parametrize("op", [Op.LIKE, Op.ILIKE, Op.CONTAINS, Op.ICONTAINS])
def test_only_percent_and_underscore_stand_for_other_characters(engine: Engine, op: Op, text: str) -> None:
    request_log.append(
        engine.connection, engine.packer, [exchange(error=text), exchange(error="a"), exchange(error="b")]
    )
    assert [record.error for record in find(engine, Is("error", op, text))] == [text]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Is("nonsense", Op.EQ, 1), "nonsense"),
        (Is('seq" OR 1=1 --', Op.EQ, 1), "no field"),
        (Is("metadata", Op.EQ, "{}"), "metadata"),
        (Is("worker", Op.EQ, 0), "worker"),
        (Is("status", Op.EQ, "200"), "status: is a number"),
        (Is("status", Op.LIKE, "2%"), "status: is a number"),
        (Is("is_stream", Op.EQ, 1), "is_stream: is a flag"),
        (Is("model", Op.CONTAINS, 4), "takes a text"),
        (Is("model", Op.LIKE, None), "takes a text"),
        (Is("model", Op.IN, "gpt"), "takes a list"),
        (Is("model", Op.EQ, ("gpt",)), "takes one value"),
        (Is("model", Op.LIKE, "%" * 2000), "pattern"),
        (Is("status", Op.LT, float("nan")), "finite"),
        (Is("status", Op.LT, 2**70), "64 bits"),
        (Is("nonsense", Op.IN, ()), "nonsense"),
        (Is("nonsense", Op.LT, None), "nonsense"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_by_name(where: Filter, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        select(REQUESTS, Not(where), Sort(), Page(), None, SQLITE)


@pytest.mark.parametrize("sort", [Sort("random()"), Sort("status", then=Sort("status; --"))])
def test_an_unknown_order_is_refused(sort: Sort) -> None:
    with pytest.raises(BadInput, match="no field"):
        select(REQUESTS, EVERYTHING, sort, Page(), None, SQLITE)


def test_an_order_by_too_many_fields_is_refused() -> None:
    sort = Sort()
    for number in range(MAX_SORT_FIELDS):
        select(REQUESTS, EVERYTHING, sort, Page(), None, SQLITE)
        sort = Sort(f"property.{number}", then=sort)

    with pytest.raises(BadInput, match=f"{MAX_SORT_FIELDS} fields"):
        select(REQUESTS, EVERYTHING, sort, Page(), None, SQLITE)


@pytest.mark.parametrize("page", [Page(-1), Page(1, -1), Page(2**63)])
def test_a_page_that_is_none_is_refused(page: Page) -> None:
    with pytest.raises(BadInput, match=r"limit|offset"):
        select(REQUESTS, EVERYTHING, Sort(), page, None, SQLITE)


NEVER = Any()


def nested(depth: int) -> Filter:
    where: Filter = EVERYTHING
    for _ in range(depth):
        where = Not(where)
    return where


@pytest.mark.parametrize(
    "where",
    [
        nested(MAX_DEPTH),
        nested(100_000),
        All((NEVER,) * MAX_TERMS),
        All((Is("seq", Op.IN, tuple(range(MAX_VALUES + 1))), NEVER)),
    ],
    ids=["deep", "very deep", "wide", "many values"],
)
def test_a_filter_that_is_too_large_is_refused(where: Filter) -> None:
    with pytest.raises(BadInput, match="filter"):
        select(REQUESTS, where, Sort(), Page(), None, SQLITE)


def alternating(depth: int) -> Filter:
    leaf = Is("metadata.k", Op.IN, ("a", 1, True, None))
    where: Filter = leaf
    for level in range(depth):
        where = Any((leaf, where)) if level % 2 else All((leaf, where))
    return where


def test_a_long_chain_of_pairs_is_one_level(engine: Engine) -> None:
    where: Filter = EVERYTHING
    for _ in range(100):
        where = All((Is("status", Op.EQ, 200), All((where,))))
    find(engine, where)


def test_the_largest_filter_that_is_taken_runs(engine: Engine) -> None:
    find(engine, nested(MAX_DEPTH - 1))
    find(engine, alternating(MAX_DEPTH - 1))
    find(engine, All((Is("metadata.k", Op.NE, "v"),) * (MAX_TERMS - 1)))
    find(engine, Any((Is("status", Op.LT, 1.5),) * (MAX_TERMS - 1)))
    find(engine, Is("seq", Op.IN, tuple(range(MAX_VALUES))))


def test_the_tenant_condition_cannot_be_argued_away(engine: Engine) -> None:
    request_log.append(
        engine.connection, engine.packer, [exchange("a", tenant="north"), exchange("b", tenant="south")]
    )
    where, dialect = Any((EVERYTHING, Is("tenant", Op.EQ, "south"))), engine.connection.dialect
    query = select(REQUESTS, where, Sort(), Page(), "north", dialect)
    assert [record.request_id for record in run(engine, query)] == ["a"]


STRANGE = "☃' OR 1=1 --"


@pytest.mark.parametrize(
    "where",
    [
        Is("model", Op.EQ, STRANGE),
        Is("any_model", Op.LIKE, STRANGE),
        Is("request_text", Op.ILIKE, STRANGE),
        Is("user", Op.CONTAINS, STRANGE),
        Is("user", Op.IN, (STRANGE, None)),
        Is(f"metadata.{STRANGE}", Op.NE, STRANGE),
        Is(f"property.{STRANGE}", Op.GE, STRANGE),
        Is(f"score.{STRANGE}", Op.EQ, None),
    ],
)
def test_what_a_caller_writes_is_bound_and_never_part_of_the_statement(where: Filter) -> None:
    query = select(REQUESTS, where, Sort(f"property.{STRANGE}"), Page(), STRANGE, SQLITE)
    assert "☃" not in query.sql
    assert query.values.count(STRANGE) == query.sql.count("?") - 2


def test_mentions_finds_a_field_anywhere_in_a_tree() -> None:
    where = All((Is("a", Op.EQ, 1), Not(Any((Is("b", Op.EQ, 1), Is("c", Op.EQ, 1))))))
    assert [name for name in "abcd" if mentions(where, name)] == ["a", "b", "c"]
