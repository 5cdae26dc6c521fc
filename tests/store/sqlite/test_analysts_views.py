"""The views that analysts' tools read: typed without a row, bound by DuckDB, and with sums that are right."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.models.feedback import Kind
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import FACTS, exchange, feedback

FACT_VIEWS = ("request_facts", "feedback_facts")
# A column of a gateway's table is one of these; DuckDB's extension reads INTEGER as BIGINT.
DUCKDB_TYPES = {"INTEGER": "BIGINT", "TEXT": "VARCHAR", "REAL": "DOUBLE"}


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """A store with a priced request, a bare one and one of a tenant, and feedback on a trace of two of them."""
    store = await open_store(sqlite_url)
    seqs = await store.append(
        [
            exchange("r1"),
            exchange("r2", started_at_us=1_700_000_000_500_000),
            exchange("r3", "trace-3", tenant="north"),
        ]
    )
    await store.put_feedback(
        [
            feedback("on-trace", score=1.0, weight=1.0),
            feedback("on-request", "r1", score=-0.5, weight=0.5),
            feedback("of-north", "trace-3", tenant="north", score=-1.0),
            feedback("comment", score=None, value=None, kind=Kind.COMMENT, comment="fine"),
            feedback("original", score=None, value=None, kind=Kind.ORIGINAL, original_text="old"),
            feedback("waiting", "nothing", score=1.0),
            feedback("withdrawn", score=-1.0, deleted_at_us=5),
        ]
    )
    await store.annotate([(seqs[0], FACTS)], at_us=5)
    yield store
    await store.close()


@pytest.fixture
def file(store: Store, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{tmp_path}/gateway.db?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def test_each_entry_counts_for_one_request_of_its_tenant(file: sqlite3.Connection) -> None:
    rows = file.execute(
        "SELECT request_id, feedback_count, score_weight, weighted_score FROM request_facts ORDER BY seq"
    ).fetchall()
    # What is on the trace counts for the latest request that had started by then; an original alone rates nothing.
    assert [tuple(row) for row in rows] == [
        ("r1", 1, 0.5, -0.25),
        ("r2", 2, 1.0, 1.0),
        ("r3", 1, 1.0, -1.0),
    ]
    joined = file.execute(
        "SELECT feedback_id, r.request_id FROM feedback_facts AS f JOIN request_facts AS r ON r.seq = f.request_seq"
        " WHERE f.comment IS NOT NULL OR f.weight < 1 ORDER BY f.seq"
    ).fetchall()
    assert [tuple(row) for row in joined] == [("on-request", "r1"), ("comment", "r2")]
    # Where a view is in dollars and text, so is its time as a number.
    numbers = file.execute("SELECT started_at_us, started_at FROM trace_report ORDER BY tenant").fetchone()
    assert tuple(numbers) == (1_700_000_000_000_000, "2023-11-14T22:13:20.000Z")


@pytest.mark.parametrize("view", [*FACT_VIEWS, "aliases"])
def test_a_column_has_a_declared_type_or_always_a_value(file: sqlite3.Connection, view: str) -> None:
    declared = {row["name"]: row["type"] for row in file.execute(f"PRAGMA table_info({view})")}
    computed = {name for name, kind in declared.items() if kind not in DUCKDB_TYPES}
    rows = file.execute(f"SELECT * FROM {view}").fetchall()
    assert {name for name in computed for row in rows if row[name] is None} == set()
    for name in computed:
        assert len({type(row[name]) for row in rows}) == 1, name


def test_duckdb_reads_every_view_and_types_the_facts(file: sqlite3.Connection) -> None:
    duckdb = pytest.importorskip("duckdb")
    schema = file.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view')"
    ).fetchall()
    views = {row["name"]: row["sql"] for row in schema if row["type"] == "view"}
    assert {name for name, sql in views.items() if len(duckdb.extract_statements(sql)) != 1} == set()
    # It writes `count(*)` as `count_star()` for SQLite in views that it cannot bind.
    assert {name for name, sql in views.items() if "strftime" in sql and "count(*)" in sql} == set()

    copy = duckdb.connect()
    for table in ("requests", "feedback"):
        _copy_table(file, copy, table)
    for view in FACT_VIEWS:
        copy.execute(views[view])
        types = {name: kind for name, kind, *_ in copy.execute(f"DESCRIBE {view}").fetchall()}
        expected = file.execute(f"SELECT * FROM {view} ORDER BY seq").fetchall()
        assert copy.execute(f"SELECT * FROM {view} ORDER BY seq").fetchall() == [
            tuple(row) for row in expected
        ]
        assert {types[name] for name in types if name.endswith(("_us", "_count", "seq"))} == {"BIGINT"}
        numbers = {"duration_ms", "score_weight", "weighted_score", "value", "score"} & types.keys()
        assert {types[name] for name in numbers} == {"DOUBLE"}
        assert {types[name] for name in ("is_stream", "is_joined") if name in types} == {"BOOLEAN"}


def _copy_table(file: sqlite3.Connection, copy: Any, table: str) -> None:
    columns = file.execute(f"PRAGMA table_info({table})").fetchall()
    declared = ", ".join(f'"{column["name"]}" {DUCKDB_TYPES[column["type"]]}' for column in columns)
    copy.execute(f"CREATE TABLE {table} ({declared})")
    rows = [list(row) for row in file.execute(f"SELECT * FROM {table}")]
    copy.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)


@pytest.mark.parametrize(
    ("view", "column", "index"),
    [
        ("request_report", "started_at_us", "requests_started"),
        ("request_facts", "started_at_us", "requests_started"),
        ("feedback_report", "created_at_us", "feedback_created"),
        ("feedback_facts", "created_at_us", "feedback_created"),
    ],
)
def test_sorting_and_filtering_by_time_uses_an_index(
    file: sqlite3.Connection, view: str, column: str, index: str
) -> None:
    sql = f"SELECT * FROM {view} WHERE {column} > 1 ORDER BY {column} DESC LIMIT 100"
    plan = "\n".join(row["detail"] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}"))
    assert f"USING INDEX {index} ({column}>?)" in plan
    assert "TEMP B-TREE" not in plan
