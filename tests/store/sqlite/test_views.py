"""What an analyst reads in the file: views in dollars and UTC, and queries that use the indexes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.metrics import DAY_US, MetricsQuery
from gateway.models.request import Cost, Facts
from gateway.models.trace import GroupCursor, GroupField
from gateway.store import aggregates, erasure, feedback, joins, metrics, open_store, prefilters, requests
from gateway.store.aggregates import Segment
from gateway.store.base import Store
from gateway.store.filters import Query, select_rows
from gateway.store.schema import FEEDBACK, REQUESTS
from gateway.store.sqlite.dialect import SQLITE
from tests.store.samples import FACTS, exchange
from tests.store.samples import feedback as feedback_sample

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "storage.md").read_text("utf-8")


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


def ask(tmp_path: Path, question: str) -> list[dict[str, object]]:
    connection = sqlite3.connect(f"file:{tmp_path}/gateway.db?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(question)]
    finally:
        connection.close()


async def test_the_request_report_speaks_in_dollars_milliseconds_and_utc(
    store: Store, tmp_path: Path
) -> None:
    [seq] = await store.append([exchange(first_byte_at_us=1_700_000_000_123_000)])
    await store.annotate([(seq, FACTS)], at_us=5)
    [row] = ask(tmp_path, "SELECT * FROM request_report")
    assert row["cost_usd"] == 0.00125
    assert (row["started_at"], row["ended_at"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.250Z")
    assert (row["first_byte_ms"], row["duration_ms"]) == (123.0, 250.0)
    assert (row["trace_score"], row["trace_feedback_count"]) == (None, 0)


async def test_a_trace_is_scored_by_weight_and_by_live_entries_of_its_tenant_alone(
    store: Store, tmp_path: Path
) -> None:
    await store.append([exchange("r1"), exchange("r2"), exchange("r3", tenant="north")])
    await store.put_feedback(
        [
            feedback_sample("a", "trace-1", joined_at_us=1, trace_id="trace-1", score=1.0, weight=1.0),
            feedback_sample("b", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, weight=0.5),
            feedback_sample("c", "trace-1", joined_at_us=1, trace_id="trace-1", score=None),
            feedback_sample("d", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, deleted_at_us=5),
            feedback_sample("e", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, tenant="north"),
            feedback_sample("f", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, weight=0.0),
        ]
    )
    scores = ask(
        tmp_path, "SELECT tenant, trace_score, trace_feedback_count FROM request_report ORDER BY seq"
    )
    assert [tuple(row.values()) for row in scores] == [(None, 1 / 3, 4), (None, 1 / 3, 4), ("north", -1.0, 1)]
    traces = ask(tmp_path, "SELECT tenant, requests, score, feedback_count FROM trace_report ORDER BY tenant")
    assert [tuple(row.values()) for row in traces] == [(None, 2, 1 / 3, 4), ("north", 1, -1.0, 1)]


async def test_the_trace_report_adds_up_its_requests(store: Store, tmp_path: Path) -> None:
    seqs = await store.append([exchange("a"), exchange("b", started_at_us=1_700_000_001_000_000)])
    facts = Facts(cost=Cost(nanousd=500_000_000, price_version="v"))
    await store.annotate([(seq, facts) for seq in seqs], at_us=5)
    [row] = ask(tmp_path, "SELECT * FROM trace_report")
    assert (row["requests"], row["cost_usd"], row["incomplete_requests"]) == (2, 1.0, 0)
    assert (row["started_at"], row["ended_at"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:21.250Z")


async def test_aliases_lists_every_id_that_names_something(store: Store, tmp_path: Path) -> None:
    [seq, _] = await store.append([exchange("r1", "t1"), exchange("r2", "t1")])
    await store.annotate([(seq, FACTS)], at_us=5)
    rows = ask(
        tmp_path, "SELECT DISTINCT alias, kind, trace_id, request_id FROM aliases ORDER BY kind, alias"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("r1", "request", "t1", "r1"),
        ("r2", "request", "t1", "r2"),
        ("chatcmpl-1", "response", "t1", "r1"),
        ("t1", "trace", "t1", None),
    ]


async def test_the_feedback_report_leaves_out_what_was_deleted(store: Store, tmp_path: Path) -> None:
    await store.put_feedback([feedback_sample("a", weight=0.5), feedback_sample("b", deleted_at_us=5)])
    [row] = ask(tmp_path, "SELECT * FROM feedback_report")
    assert (row["feedback_id"], row["weighted_score"], row["is_joined"]) == ("a", 0.25, 0)
    assert row["created_at"] == "2023-11-14T22:13:21.000Z"


@pytest.mark.usefixtures("store")
async def test_the_documented_queries_run(tmp_path: Path) -> None:
    queries = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert queries
    assert [ask(tmp_path, query) for query in queries] == [[]] * len(queries)


@pytest.mark.usefixtures("store")
async def test_every_table_view_index_and_column_is_documented(tmp_path: Path) -> None:
    names = ask(tmp_path, "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    columns = ask(
        tmp_path,
        "SELECT c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'",
    )
    documented = PAGE + (DOCS / "reference" / "columns.md").read_text("utf-8")
    undocumented = {row["name"] for row in names + columns if f"`{row['name']}`" not in documented}
    assert undocumented == set()


def plan(tmp_path: Path, sql: str, values: object = ()) -> str:
    connection = sqlite3.connect(tmp_path / "gateway.db")
    try:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)  # type: ignore[arg-type]
        return "\n".join(row[3] for row in rows)
    finally:
        connection.close()


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
        (Comparison("user", Op.EQ, "ann"), "requests_user"),
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
@pytest.mark.usefixtures("store")
async def test_a_search_uses_the_index_that_is_meant_for_it(
    tmp_path: Path, where: Filter, index: str
) -> None:
    query = select_rows(REQUESTS, where, Sort("started_at_us"), Page(), None, SQLITE)
    assert f"INDEX {index} " in plan(tmp_path, query.sql, query.values)


@pytest.mark.usefixtures("store")
async def test_a_tenants_newest_rows_are_found_by_index(tmp_path: Path) -> None:
    query = select_rows(REQUESTS, NO_FILTER, Sort("seq"), Page(), "north", SQLITE)
    found = plan(tmp_path, query.sql, query.values)
    assert "INDEX requests_tenant " in found
    assert "TEMP B-TREE" not in found


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (joins._IS_ANY_WAITING, "feedback_waiting"),
        (joins._waiting_by_name(SQLITE).subjects, "feedback_waiting"),
        (joins._waiting_by_name(SQLITE).join, "feedback_waiting"),
        (joins._waiting_by_id(SQLITE).subjects, "feedback_id"),
        (joins._waiting_by_id(SQLITE).join, "feedback_id"),
        (joins._FIND_SESSIONS, "requests_session"),
        (joins._counting_statements(SQLITE).count, "requests_session"),
        (requests.select_uninterpreted(SQLITE), "requests_uninterpreted"),
        ("SELECT * FROM aliases WHERE alias = ?", "requests_response"),
        ("SELECT * FROM trace_report WHERE trace_id = ?", "requests_trace"),
        ("SELECT * FROM request_report WHERE request_id = ?", "feedback_trace"),
    ],
)
@pytest.mark.usefixtures("store")
async def test_no_standing_query_reads_a_whole_table(tmp_path: Path, sql: str, index: str) -> None:
    names = re.findall(r":(\w+)", sql)
    found = plan(tmp_path, sql, dict.fromkeys(names, "[]") if names else ("x",) * sql.count("?"))
    assert index in found
    assert "SCAN requests\n" not in f"{found}\n"
    assert "SCAN feedback\n" not in f"{found}\n"


@pytest.mark.parametrize("field", ["trace_id", "request_id", "subject_id", "feedback_id", "author"])
@pytest.mark.usefixtures("store")
async def test_feedback_is_found_by_each_name_through_an_index(tmp_path: Path, field: str) -> None:
    query = select_rows(FEEDBACK, Comparison(field, Op.EQ, "x"), Sort("created_at_us"), Page(), None, SQLITE)
    assert "SEARCH feedback USING INDEX feedback_" in plan(tmp_path, query.sql, query.values)


@pytest.mark.usefixtures("store")
async def test_requests_are_found_by_their_feedback_through_indexes(tmp_path: Path) -> None:
    bad = Comparison("feedback.rating", Op.EQ, False)
    newest = select_rows(REQUESTS, bad, Sort("started_at_us"), Page(), None, SQLITE)
    found = plan(tmp_path, newest.sql, newest.values)
    for index in ("feedback_request (request_id=?", "feedback_trace (trace_id=? AND target=?"):
        assert f"SEARCH feedback USING INDEX {index}" in found
    assert "SEARCH feedback USING INDEX feedback_session (session=?" in found

    few = select_rows(REQUESTS, bad, Sort("started_at_us"), Page(), None, SQLITE, candidate_seqs=[7, 9])
    assert "SEARCH requests USING INTEGER PRIMARY KEY" in plan(tmp_path, few.sql, few.values)
    [clue] = prefilters.prefilters(bad, SQLITE)
    assert "INDEX feedback_score (score<?)" in plan(tmp_path, f"SELECT 1 FROM feedback WHERE {clue.sql}")


TRACE, SESSION = GroupField.TRACE, GroupField.SESSION
HERE = GroupCursor(top=900_000, seq=500_000)
OF_ANN = Comparison("user", Op.EQ, "ann")


@pytest.mark.parametrize(
    ("query", "used"),
    [
        (
            metrics.newest_requests_query(TRACE, NO_FILTER, HERE, 20, None, SQLITE),
            "INTEGER PRIMARY KEY (rowid<?)",
        ),
        (
            metrics.newest_requests_query(TRACE, NO_FILTER, HERE, 20, "north", SQLITE),
            "INDEX requests_tenant (tenant=? AND rowid<?)",
        ),
        (
            metrics.newest_requests_query(TRACE, OF_ANN, HERE, 20, None, SQLITE),
            "INDEX requests_user (user=? AND rowid<?)",
        ),
        (
            metrics.newest_requests_query(SESSION, NO_FILTER, HERE, 20, None, SQLITE),
            "INDEX requests_in_sessions (seq<?)",
        ),
        (
            metrics.seen_before_query(TRACE, "t", NO_FILTER, HERE, None, SQLITE),
            "INDEX requests_trace (trace_id=?",
        ),
        (
            metrics.seen_before_query(TRACE, "t", OF_ANN, HERE, None, SQLITE),
            "INDEX requests_trace (trace_id=?",
        ),
        (
            metrics.seen_before_query(SESSION, "s", OF_ANN, HERE, None, SQLITE),
            "INDEX requests_session (session=?",
        ),
        (metrics.group_usage_query(TRACE, ["t"], None, SQLITE), "INDEX requests_trace (trace_id=?)"),
        (metrics.group_usage_query(SESSION, ["s"], "north", SQLITE), "INDEX requests_session (session=?)"),
        (
            metrics.group_feedback_query(TRACE, ["t"], None, SQLITE),
            "INDEX feedback_request_seq (request_seq=?)",
        ),
        (
            metrics.group_feedback_query(SESSION, ["s"], "north", SQLITE),
            "INDEX feedback_request_seq (request_seq=?)",
        ),
    ],
)
@pytest.mark.usefixtures("store")
async def test_a_walk_reads_no_more_rows_than_it_meets_and_sorts_none(
    tmp_path: Path, query: Query, used: str
) -> None:
    found = plan(tmp_path, query.sql, query.values)
    assert used in found
    assert "SCAN requests" not in found
    assert "SCAN feedback" not in found
    assert "ORDER BY" not in found


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        (erasure._REQUESTS_OF_USER, ["requests_user"]),
        (erasure._FEEDBACK_BY_AUTHOR, ["feedback_author", "feedback_versions_author"]),
        (erasure._FEEDBACK_ON_REQUESTS, ["requests_user", "feedback_request_seq"]),
        (erasure._REQUEST_IDS_OF_USER_ONLY, ["requests_user", "requests_request"]),
        (feedback._count_by_author(SQLITE).replace(":authors", ":person"), ["feedback_given"]),
    ],
)
@pytest.mark.usefixtures("store")
async def test_what_there_is_of_a_person_is_found_through_indexes(
    tmp_path: Path, sql: str, indexes: list[str]
) -> None:
    found = plan(tmp_path, sql, {"person": "ann", "tenant": None})
    assert all(f"INDEX {index} " in found for index in indexes), found
    assert "SCAN requests" not in found
    assert "SCAN feedback" not in found


NAMED_SO = AllOf((Comparison("user", Op.GE, "a"), Comparison("user", Op.LT, "b")))


@pytest.mark.parametrize(
    "question",
    [
        MetricsQuery(0, DAY_US, tenant="north"),
        MetricsQuery(0, DAY_US, where=Comparison("environment", Op.EQ, "prod"), group_by="any_model"),
        MetricsQuery(0, DAY_US, where=NAMED_SO, group_by="user"),
    ],
)
@pytest.mark.usefixtures("store")
async def test_figures_of_a_short_time_are_counted_in_its_rows_alone(
    tmp_path: Path, question: MetricsQuery
) -> None:
    segment = Segment(question.from_us, question.to_us)
    for statement in (aggregates.usage_query, aggregates.latency_query):
        query = statement(question, segment, None, SQLITE)
        assert "INDEX requests_started (started_at_us>?" in plan(tmp_path, query.sql, query.values)
    query = aggregates.feedback_query(question, segment, None, SQLITE)
    found = plan(tmp_path, query.sql, query.values)
    assert "INDEX feedback_counted (request_started_at_us>?" in found
    assert "SEARCH requests USING INTEGER PRIMARY KEY" in found


@pytest.mark.usefixtures("store")
async def test_figures_of_one_user_over_a_long_time_are_counted_in_their_rows_alone(tmp_path: Path) -> None:
    question = MetricsQuery(0, 30 * DAY_US, where=OF_ANN, group_by="metadata.team")
    query = aggregates.usage_query(question, Segment(0, 30 * DAY_US), None, SQLITE)
    assert "INDEX requests_user (user=?)" in plan(tmp_path, query.sql, query.values)
