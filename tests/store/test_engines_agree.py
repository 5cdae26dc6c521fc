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

from gateway.domain.aggregate import DAY_US, GRADE, HOUR_US, Question
from gateway.domain.filter import All, Filter, Is, Not, Op, Page, Sort
from gateway.domain.filter import Any as Either
from gateway.store.relational import answers, feedback_log, request_log, rollup_table
from gateway.store.relational.connection import Connection
from gateway.store.rows import record_from_row
from gateway.store.sql import select
from gateway.store.tables import REQUESTS
from tests.store.conftest import Engine
from tests.store.filling import DAYS, LATER_US, START_US, some_exchange, some_facts, some_feedback
from tests.store.samples import exchange
from tests.store.test_sql import FILTERS, METADATA, ORDERINGS, TEXT_OPS, TEXTS

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
    st.builds(Is, COMPUTED_TEXTS, ORDERINGS, st.one_of(st.none(), SOME_TEXTS)),
    st.builds(Is, COMPUTED_TEXTS, TEXT_OPS, SOME_TEXTS),
    st.builds(Is, COMPUTED_NUMBERS, ORDERINGS, st.one_of(st.none(), SOME_NUMBERS)),
    st.builds(Is, COMPUTED_FLAGS, ORDERINGS, st.one_of(st.none(), st.booleans())),
    FILTERS,
)
WIDER_FILTERS: st.SearchStrategy[Filter] = st.one_of(
    CONDITIONS,
    CONDITIONS.map(Not),
    st.lists(CONDITIONS, max_size=3).map(lambda parts: All(tuple(parts))),
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
    Question,
    TIMES,
    TIMES,
    where=st.one_of(
        WIDER_FILTERS, st.sampled_from([All(), Is("status", Op.GE, 400), Is("any_model", Op.EQ, "small")])
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
    seqs = request_log.append(connection, engine.packer, [*known, *odd])
    feedback_log.put_feedback(connection, [some_feedback(dice, number, 60) for number in range(40)], None)
    request_log.annotate(connection, [(seq, some_facts(dice)) for seq in seqs], LATER_US)
    for due in rollup_table.due_spans(connection, LATER_US):
        span = rollup_table.draw_ticket(connection, *due, LATER_US)
        rollup = rollup_table.sum_up(connection, span)
        assert rollup is not None
        assert rollup_table.keep(connection, rollup)


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


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=WIDER_FILTERS, sort=SORTS, tenant=st.sampled_from([None, "north"]))
def test_a_search_finds_the_same_rows_in_the_same_order(
    both: Both, where: Filter, sort: Sort, tenant: str | None
) -> None:
    def find(connection: Connection) -> list[object]:
        query = select(REQUESTS, where, sort, Page(1000), tenant, connection.dialect)
        return [record_from_row(row) for row in connection.execute(query.sql, query.values)]

    first, second = ask_both(both, find)
    assert first == second


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=QUESTIONS)
def test_a_question_has_the_same_answer(both: Both, question: Question) -> None:
    for answer in (answers.usage, answers.latencies, answers.count_groups):
        first, second = ask_both(both, partial(answer, question=question))
        assert first == second

    for asked in (question, replace(question, group_by=GRADE)):
        first, second = ask_both(both, partial(answers.verdicts, question=asked))
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
            [seq] = request_log.append(connection, engine.packer, [exchange(metadata=metadata)])
            connection.executemany(connection.dialect.set_tag("user"), [{"value": user, "seq": seq}])
            found: list[object] = connection.execute('SELECT "user", metadata FROM requests').fetchall()
            return found
        finally:
            connection.execute("ROLLBACK")

    assert name(sqlite_engine) == name(postgres_engine)
