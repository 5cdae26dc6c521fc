"""Whatever is asked, each kind of database gives the same answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.models.filters import AllOf, Comparison, Filter, Not, Op, Page, Sort
from gateway.models.filters import AnyOf as Either
from gateway.models.metrics import DAY_US, GRADE_FIELD, HOUR_US, MetricsQuery
from gateway.store import feedback, metrics, requests, rollups
from gateway.store.dialect import AsyncConnection, Connection
from gateway.store.filters import select_rows
from gateway.store.rows import REQUEST_ROWS
from gateway.store.schema import REQUESTS
from tests.store.conftest import Engine, read
from tests.store.random_data import DAYS, LATER_US, START_US, some_exchange, some_facts, some_feedback
from tests.store.samples import exchange
from tests.store.test_filters import FILTERS, METADATA, ORDERINGS, TEXT_OPS, TEXTS

Both = tuple[Engine, Engine]

COMPUTED_TEXTS = st.sampled_from(
    ["any_model", "stated_model", "request_text", "response_text", "feedback.id", "property.team", "session"]
)
COMPUTED_NUMBERS = st.sampled_from(
    ["duration_ms", "first_byte_ms", "total_tokens", "weighted_feedback", "feedback.updated_at_us", "score.m"]
)
COMPUTED_FLAGS = st.sampled_from(["is_error", "is_cached", "feedback.rating", "is_scored", "is_stream"])
SOME_TEXTS = st.sampled_from(
    ["small", "small-2", "red", "true", "3", "", "{%", "%o%", "SMALL", "chat", "feedback-3"]
)
SOME_NUMBERS = st.sampled_from([0, 1, -2, 0.5, 3.5, 100, 1000, START_US])

CONDITIONS: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Comparison, COMPUTED_TEXTS, ORDERINGS, st.one_of(st.none(), SOME_TEXTS)),
    st.builds(Comparison, COMPUTED_TEXTS, TEXT_OPS, SOME_TEXTS),
    st.builds(Comparison, COMPUTED_NUMBERS, ORDERINGS, st.one_of(st.none(), SOME_NUMBERS)),
    st.builds(Comparison, COMPUTED_FLAGS, ORDERINGS, st.one_of(st.none(), st.booleans())),
    FILTERS,
)
WIDER_FILTERS: st.SearchStrategy[Filter] = st.one_of(
    CONDITIONS,
    CONDITIONS.map(Not),
    st.lists(CONDITIONS, max_size=3).map(lambda parts: AllOf(tuple(parts))),
    st.lists(CONDITIONS, max_size=3).map(lambda parts: Either(tuple(parts))),
)
SORTS = st.builds(
    Sort,
    st.one_of(COMPUTED_TEXTS, COMPUTED_NUMBERS, COMPUTED_FLAGS, st.sampled_from(["seq", "user"])),
    st.booleans(),
)
TIMES = st.sampled_from(
    [0, START_US, START_US + HOUR_US // 3, START_US + DAY_US, START_US + DAYS * DAY_US, LATER_US]
)
GROUPS = [
    None, "any_model", "status", "user", "session", "attempt", "is_stream", "is_error", "metadata.team",
    "metadata.k", "duration_ms",
]  # fmt: skip
QUESTIONS = st.builds(
    MetricsQuery,
    TIMES,
    TIMES,
    where=st.one_of(
        WIDER_FILTERS,
        st.sampled_from([AllOf(), Comparison("status", Op.GE, 400), Comparison("any_model", Op.EQ, "small")]),
    ),
    group_by=st.sampled_from(GROUPS),
    bucket_us=st.sampled_from([None, HOUR_US, DAY_US, HOUR_US // 4]),
    bucket_offset_us=st.sampled_from([0, -3 * DAY_US, HOUR_US // 2]),
    tenant=st.sampled_from([None, "north"]),
)


def fill(engine: Engine) -> None:
    """Store something of everything, and sum up what is over."""
    dice, connection = random.Random(1), engine.connection
    odd = [exchange(f"odd-{n}", metadata=metadata, error=error) for n, (metadata, error) in enumerate(ODD)]
    known = [some_exchange(dice, number) for number in range(60)]
    seqs = requests.append_exchanges(connection, engine.packer, [*known, *odd])
    feedback.put_feedback(connection, [some_feedback(dice, number, 60) for number in range(40)], None)
    requests.annotate_requests(connection, [(seq, some_facts(dice)) for seq in seqs], LATER_US)
    for due in read(connection, partial(rollups.due_spans, at_us=LATER_US)):
        span = rollups.start_rollup(connection, *due, LATER_US)
        rollup = read(connection, partial(rollups.compute_rollup, span=span))
        assert rollup is not None
        assert rollups.store_rollup(connection, rollup)


ODD: list[tuple[dict[str, object], str | None]] = [
    ({"k": "a", "a.b": 1.5, "": True}, "A%b"),
    ({"k": "É", "_model": "small"}, "é_"),
    ({"k": 2, "_model": ""}, ""),
    ({"k": None, 'say "k"': "x", "_user": "Bob"}, "[a]"),
    ({"k": [1, "a"], "$": {"k": "a"}, "_user": ""}, "\\"),
    ({"k": False, "team": 2.5}, "'"),
]


@pytest.fixture
def both(sqlite_engine: Engine, postgres_engine: Engine) -> Both:
    fill(sqlite_engine)
    fill(postgres_engine)
    return sqlite_engine, postgres_engine


def ask_both(both: Both, ask: Callable[[Connection], Any]) -> tuple[Any, Any]:
    first, second = (ask(engine.connection) for engine in both)
    return first, second


def read_both(both: Both, work: Callable[[AsyncConnection], Any]) -> tuple[Any, Any]:
    return ask_both(both, lambda connection: read(connection, work))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=WIDER_FILTERS, sort=SORTS, tenant=st.sampled_from([None, "north"]))
def test_a_search_finds_the_same_rows_in_the_same_order(
    both: Both, where: Filter, sort: Sort, tenant: str | None
) -> None:
    def find(connection: Connection) -> list[object]:
        query = select_rows(REQUESTS, where, sort, Page(1000), tenant, connection.dialect)
        return [REQUEST_ROWS.from_row(row) for row in connection.execute(query.sql, query.values)]

    first, second = ask_both(both, find)
    assert first == second


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metrics_query=QUESTIONS)
def test_a_question_has_the_same_answer(both: Both, metrics_query: MetricsQuery) -> None:
    for answer in (metrics.read_usage, metrics.read_latencies, metrics.read_group_counts):
        first, second = read_both(both, partial(answer, spec=metrics_query))
        assert first == second

    for asked in (metrics_query, replace(metrics_query, group_by=GRADE_FIELD)):
        first, second = read_both(both, partial(metrics.read_feedback_sums, spec=asked))
        assert first.keys() == second.keys()
        for cell, sums in first.items():
            assert astuple(second[cell]) == pytest.approx(astuple(sums), abs=1e-9)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metadata=METADATA, user=TEXTS)
def test_metadata_in_which_a_user_is_named_later_is_the_same_text(
    sqlite_engine: Engine, postgres_engine: Engine, metadata: dict[str, object], user: str
) -> None:
    def name(engine: Engine) -> list[object]:
        connection = engine.connection
        connection.execute("BEGIN")
        try:
            [seq] = requests.append_exchanges(connection, engine.packer, [exchange(metadata=metadata)])
            connection.executemany(connection.dialect.set_tag("user"), [{"value": user, "seq": seq}])
            found: list[object] = connection.execute('SELECT "user", metadata FROM requests').fetchall()
            return found
        finally:
            connection.execute("ROLLBACK")

    assert name(sqlite_engine) == name(postgres_engine)
