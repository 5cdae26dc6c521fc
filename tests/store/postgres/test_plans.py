"""With some tens of thousands of rows, every standing query and common search goes through an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.metrics import DAY_US, MetricsQuery
from gateway.models.trace import GroupCursor, GroupField
from gateway.store import aggregates, erasure, feedback, imports, joins, metrics, requests, rollups
from gateway.store.aggregates import Segment
from gateway.store.filters import Query, select_rows
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.dialect import POSTGRES
from gateway.store.schema import FEEDBACK, REQUESTS
from tests.postgres_server import PostgresServer
from tests.store.samples import exchange

TRACE, SESSION = GroupField.TRACE, GroupField.SESSION
HERE = GroupCursor(top=39_000, seq=10_000)
OF_ANN = Comparison("user", Op.EQ, "u7")


REQUESTS_THERE = 40_000

_FILL_REQUESTS = f"""
INSERT INTO requests (
    seq, request_id, trace_id, tenant, provider, endpoint, method, path, started_at_us, ended_at_us, outcome,
    is_stream, attempt, "user", organisation, prompt, environment, session, metadata, request_size, response_size,
    payloads, model, response_id, interpreted_at_us
)
SELECT
    n, 'r' || n, 't' || n / 3, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN 'north' ELSE 'south' END, 'up', 'chat',
    'POST', '/', n * 60000000::bigint, n * 60000000::bigint + 1000, 'complete', FALSE, 0, 'u' || n % 500,
    'o' || n % 50, 'p' || n % 50, 'e' || n % 50, 's' || n / 10, '{{}}', 0, 0, 'off', 'm' || n % 50, 'resp' || n,
    CASE WHEN n > {REQUESTS_THERE} - 20 THEN NULL ELSE 1 END
FROM generate_series(1, {REQUESTS_THERE}) AS n
"""
_FILL_FEEDBACK = """
INSERT INTO feedback (
    feedback_id, version, tenant, subject_id, target, trace_id, request_id, session, joined_at_us, kind, weight,
    score, author, source, metadata, dialect, raw, created_at_us, updated_at_us, request_seq, request_started_at_us
)
SELECT
    'f' || n, 1, 'north', 't' || n, (ARRAY['session', 'trace', 'request'])[n % 3 + 1],
    CASE WHEN n % 3 > 0 THEN 't' || n END, CASE WHEN n % 3 = 2 THEN 'r' || n END,
    CASE WHEN n % 3 = 0 THEN 's' || n END, CASE WHEN n % 1000 = 0 THEN NULL ELSE 1 END,
    'thumb', 1, n % 7 - 3, 'u' || n % 500, 'human', '{}', 'native', '{}', n * 60000000::bigint, 1, n,
    n * 60000000::bigint
FROM generate_series(1, 20000) AS n
"""
_FILL_VERSIONS = """
INSERT INTO feedback_versions (
    feedback_id, version, subject_id, target, kind, weight, author, source, metadata, dialect, raw, created_at_us,
    updated_at_us
)
SELECT feedback_id, 0, subject_id, target, kind, weight, author, source, metadata, dialect, raw, 1, 1 FROM feedback
"""


@pytest.fixture(scope="module")
def connection(postgres_server: PostgresServer) -> Iterator[PostgresConnection]:
    with postgres_server.database() as url, closing(PostgresConnection(url)) as connection:
        for statement in (_FILL_REQUESTS, _FILL_FEEDBACK, _FILL_VERSIONS, "ANALYZE"):
            connection.execute(statement)
        yield connection


def plan(connection: PostgresConnection, sql: str, values: Any) -> str:
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN (COSTS OFF) {sql}", values))


def some_value(name: str) -> object:
    values = {
        "names": '["t7"]', "ids": '["r7"]', "requests": '["r7"]', "traces": '["t7"]', "sessions": '["s7"]',
        "authors": '["u7"]', "starts": "[420000000]", "tenant": None,
        "trace_id": None, "name": "r7",
    }  # fmt: skip
    return values.get(name, 1 if name.endswith("_us") else "x")


def assert_found(found: str, index: str) -> None:
    assert re.search(rf"Index .*\b{index}\b", found), found
    assert "Seq Scan on requests" not in found, found
    assert "Seq Scan on feedback" not in found, found


@pytest.mark.parametrize(
    ("sql", "values", "index"),
    [
        (joins._IS_ANY_WAITING, (), "feedback_waiting"),
        (joins._waiting_by_name(POSTGRES).subjects, None, "feedback_waiting"),
        (joins._waiting_by_name(POSTGRES).join, None, "feedback_waiting"),
        (joins._waiting_by_id(POSTGRES).subjects, None, "feedback_id"),
        (joins._waiting_by_id(POSTGRES).join, None, "feedback_(id|waiting|subject)"),
        (joins._FIND_TRACES, None, "requests_trace"),
        (joins._FIND_BY_REQUEST_ID, None, "requests_request"),
        (joins._FIND_BY_RESPONSE_ID, None, "requests_response"),
        (requests.select_uninterpreted(POSTGRES), (5,), "requests_uninterpreted"),
        (
            imports._same_requests_query([exchange("r7")], POSTGRES).sql,
            ('["r7"]', "[1]"),
            "requests_(request|started)",
        ),
        (requests._select_request_rows(POSTGRES), ("r", "t", None), "requests_request"),
        (joins._counting_statements(POSTGRES).count, ("[]",), "requests_request"),
        (joins._counting_statements(POSTGRES).count, ("[]",), "requests_trace"),
        (feedback._select_versions(POSTGRES), ("[]",), "feedback_id"),
        (feedback._select_latest_feedback(POSTGRES), None, "feedback_request"),
        (feedback._select_latest_feedback(POSTGRES), None, "feedback_session"),
        (joins._FIND_SESSIONS, None, "requests_session"),
        (joins._counting_statements(POSTGRES).count, ("[]",), "requests_session"),
        (feedback._count_by_author(POSTGRES), None, "feedback_(author|given)"),
        (erasure._REQUESTS_OF_USER, {"person": "ann", "tenant": None}, "requests_user"),
        (erasure._FEEDBACK_BY_AUTHOR, {"person": "ann", "tenant": None}, "feedback_versions_author"),
        (rollups._NEXT_START, (1,), "requests_started"),
        ("SELECT * FROM aliases WHERE alias = ?", ("x",), "requests_response"),
        ("SELECT * FROM trace_report WHERE trace_id = ?", ("x",), "requests_trace"),
        ("SELECT * FROM request_report WHERE request_id = ?", ("x",), "feedback_trace"),
    ],
)
def test_no_standing_query_reads_a_whole_table(
    connection: PostgresConnection, sql: str, values: Any, index: str
) -> None:
    if values is None:
        values = {name: some_value(name) for name in re.findall(r"(?<!:):([a-z_]+)", sql)}
    assert_found(plan(connection, sql, values), index)


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (Comparison("trace_id", Op.EQ, "x"), "requests_trace"),
        (Comparison("request_id", Op.EQ, "x"), "requests_request"),
        (Comparison("response_id", Op.EQ, "x"), "requests_response"),
        (
            AllOf((Comparison("started_at_us", Op.GE, 1), Comparison("started_at_us", Op.LT, 2))),
            "requests_started",
        ),
        (AllOf((Comparison("model", Op.EQ, "m"), Comparison("started_at_us", Op.GE, 1))), "requests_model"),
        (OF_ANN, "requests_user"),
        (Comparison("organisation", Op.EQ, "acme"), "requests_organisation"),
        (Comparison("prompt", Op.EQ, "greet"), "requests_prompt"),
        (
            AllOf((Comparison("prompt", Op.EQ, "greet"), Comparison("prompt_version", Op.EQ, "2"))),
            "requests_prompt",
        ),
        (Comparison("environment", Op.EQ, "test"), "requests_environment"),
        (Comparison("session", Op.EQ, "chat"), "requests_session"),
    ],
)
def test_a_search_can_use_the_index_that_is_meant_for_it(
    connection: PostgresConnection, where: Filter, index: str
) -> None:
    query = select_rows(REQUESTS, where, Sort("started_at_us"), Page(), None, POSTGRES)
    assert_found(plan(connection, query.sql, query.values), index)


@pytest.mark.parametrize("sort", [Sort("seq"), Sort("started_at_us"), Sort("seq", descending=False)])
@pytest.mark.parametrize("tenant", [None, "north"])
def test_the_newest_rows_are_found_without_sorting_all(
    connection: PostgresConnection, sort: Sort, tenant: str | None
) -> None:
    query = select_rows(REQUESTS, NO_FILTER, sort, Page(), tenant, POSTGRES)
    assert re.search(r"^ *->  Sort", plan(connection, query.sql, query.values), re.MULTILINE) is None


@pytest.mark.parametrize("field", ["trace_id", "request_id", "subject_id", "feedback_id", "author"])
def test_feedback_is_found_by_each_name_through_an_index(connection: PostgresConnection, field: str) -> None:
    query = select_rows(
        FEEDBACK, Comparison(field, Op.EQ, "x"), Sort("created_at_us"), Page(), None, POSTGRES
    )
    assert "Seq Scan on feedback" not in plan(connection, query.sql, query.values)


@pytest.mark.parametrize("index", ["feedback_request", "feedback_trace", "feedback_session"])
def test_what_was_said_of_a_request_is_found_by_each_way_through_an_index(
    connection: PostgresConnection, index: str
) -> None:
    for name in ("feedback.rating", "weighted_feedback"):
        query = select_rows(
            REQUESTS, Comparison(name, Op.NE, None), Sort("started_at_us"), Page(), None, POSTGRES
        )
        assert_found(plan(connection, query.sql, query.values), index)


def test_requests_that_were_found_by_their_feedback_are_looked_up(connection: PostgresConnection) -> None:
    bad = Comparison("feedback.rating", Op.EQ, False)
    query = select_rows(REQUESTS, bad, Sort("started_at_us"), Page(), None, POSTGRES, candidate_seqs=[7, 9])
    assert_found(plan(connection, query.sql, query.values), "requests_pkey")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (metrics.newest_requests_query(TRACE, NO_FILTER, HERE, 20, None, POSTGRES), "requests_pkey"),
        (metrics.seen_before_query(TRACE, "t7", OF_ANN, HERE, None, POSTGRES), "requests_trace"),
        (metrics.group_usage_query(TRACE, ["t"], None, POSTGRES), "requests_trace"),
        (metrics.group_usage_query(SESSION, ["s"], "north", POSTGRES), "requests_session"),
        (metrics.group_feedback_query(TRACE, ["t"], None, POSTGRES), "feedback_request_seq"),
        (
            aggregates.usage_query(MetricsQuery(0, DAY_US), Segment(0, DAY_US), None, POSTGRES),
            "requests_started",
        ),
        (
            aggregates.feedback_query(MetricsQuery(0, DAY_US), Segment(0, DAY_US), None, POSTGRES),
            "feedback_counted",
        ),
    ],
)
def test_groups_and_figures_can_be_found_through_indexes(
    connection: PostgresConnection, query: Query, index: str
) -> None:
    assert_found(plan(connection, query.sql, query.values), index)
