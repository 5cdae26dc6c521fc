"""What an analyst reads in the database: the views say the same as SQLite's, and bodies are plain text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.models.request import Cost, Facts
from gateway.store.base import Store
from tests.store.samples import FACTS, exchange, feedback

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "postgresql.md").read_text("utf-8")


def ask(url: str, question: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(question.encode()).fetchall()


async def test_the_request_report_speaks_in_dollars_milliseconds_and_utc(store: Store, url: str) -> None:
    [seq] = await store.append([exchange(first_byte_at_us=1_700_000_000_123_000)])
    await store.annotate([(seq, FACTS)], at_us=5)
    [row] = ask(url, "SELECT * FROM request_report")
    assert row["cost_usd"] == 0.00125
    assert (row["started_at"], row["ended_at"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.250Z")
    assert (row["first_byte_ms"], row["duration_ms"]) == (123.0, 250.0)
    assert (row["trace_score"], row["trace_feedback_count"]) == (None, 0)


async def test_a_trace_is_scored_by_weight_and_adds_up_its_requests(store: Store, url: str) -> None:
    seqs = await store.append([exchange("r1"), exchange("r2"), exchange("r3", tenant="north")])
    facts = Facts(cost=Cost(nanousd=500_000_000, price_version="v"))
    await store.annotate([(seq, facts) for seq in seqs], at_us=5)
    await store.put_feedback(
        [
            feedback("a", "trace-1", joined_at_us=1, trace_id="trace-1", score=1.0, weight=1.0),
            feedback("b", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, weight=0.5),
            feedback("c", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, tenant="north"),
            feedback("d", "trace-1", joined_at_us=1, trace_id="trace-1", score=-1.0, deleted_at_us=5),
        ]
    )
    traces = ask(
        url, "SELECT tenant, requests, score, feedback_count, cost_usd FROM trace_report ORDER BY requests"
    )
    assert [tuple(row.values()) for row in traces] == [("north", 1, -1.0, 1, 0.5), (None, 2, 1 / 3, 2, 1.0)]


async def test_aliases_lists_every_id_that_names_something(store: Store, url: str) -> None:
    [seq] = await store.append([exchange("r1", "t1")])
    await store.annotate([(seq, FACTS)], at_us=5)
    rows = ask(url, "SELECT alias, kind, request_id FROM aliases ORDER BY kind")
    assert [tuple(row.values()) for row in rows] == [
        ("r1", "request", "r1"), ("chatcmpl-1", "response", "r1"), ("t1", "trace", None),
    ]  # fmt: skip


async def test_the_feedback_report_leaves_out_what_was_deleted(store: Store, url: str) -> None:
    await store.put_feedback([feedback("a", weight=0.5), feedback("b", deleted_at_us=5)])
    [row] = ask(url, "SELECT * FROM feedback_report")
    assert (row["feedback_id"], row["weighted_score"], row["is_joined"]) == ("a", 0.25, False)
    assert row["created_at"] == "2023-11-14T22:13:21.000Z"


async def test_facts_are_numbers_of_one_type_and_count_each_entry_once(store: Store, url: str) -> None:
    await store.append([exchange("r1"), exchange("r2", started_at_us=1_700_000_000_500_000)])
    await store.put_feedback([feedback("a", score=1.0), feedback("b", "r1", score=-0.5, weight=0.5)])
    facts = ask(url, "SELECT * FROM request_facts ORDER BY seq")
    counted = [(row["feedback_count"], row["score_weight"], row["weighted_score"]) for row in facts]
    assert counted == [(1, 0.5, -0.25), (1, 1.0, 1.0)]
    assert [type(facts[0][name]) for name in ("started_at_us", "duration_ms", "is_stream")] == [
        int,
        float,
        bool,
    ]
    assert [row["request_seq"] for row in ask(url, "SELECT * FROM feedback_facts ORDER BY seq")] == [2, 1]


async def test_bodies_are_searched_in_plain_sql(store: Store, url: str) -> None:
    await store.append([exchange("a", response_body=b"hay"), exchange("b", response_body=b"a needle")])
    found = ask(
        url, "SELECT request_id FROM payloads JOIN requests USING (seq) WHERE response_text LIKE '%needle%'"
    )
    assert found == [{"request_id": "b"}]


async def test_every_table_view_index_and_column_is_documented(store: Store, url: str) -> None:
    names = ask(
        url,
        """
        SELECT relname AS name FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
        WHERE n.nspname = 'public' AND relname !~ '_pkey$|_seq$'
        UNION SELECT column_name FROM information_schema.columns JOIN pg_tables ON tablename = table_name
        WHERE schemaname = 'public'
        """,
    )
    documented = (
        PAGE
        + (DOCS / "storage.md").read_text("utf-8")
        + (DOCS / "reference" / "columns.md").read_text("utf-8")
    )
    assert len(names) > 100
    assert {row["name"] for row in names if f"`{row['name']}`" not in documented} == set()


async def test_the_documented_queries_run(store: Store, url: str) -> None:
    queries = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert queries
    assert [ask(url, query) for query in queries] == [[]] * len(queries)
