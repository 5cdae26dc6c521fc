"""`gateway import` of exports with several tables: what becomes of them, in whatever order they come."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from tests.cli.conftest import Run
from tests.cli.export_rows import write_lines
from tests.cli.trace_exports import (
    EPISODE,
    INFERENCE,
    ROOT_RUN,
    RUN,
    TRACE,
    Rows,
    langfuse_files,
    langsmith_files,
    tensorzero_files,
)
from tests.log_reader import payload, query

ROWS = "SELECT * FROM requests ORDER BY request_id"
FEEDBACK = "SELECT * FROM feedback ORDER BY created_at_us, metric"
START_US = 1_772_439_300_250_000
QUESTION = {"role": "user", "content": "Where are the maps?"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


def write_files(folder: Path, files: Mapping[str, Rows]) -> list[str]:
    for name, rows in files.items():
        write_lines(folder / name, rows)
    return list(files)


def bodies(database: Path, row: sqlite3.Row) -> tuple[Any, Any]:
    kept = payload(database, row["seq"])
    assert kept is not None
    return orjson.loads(kept.request_body), orjson.loads(kept.response_body)


def content(database: Path) -> list[list[tuple[Any, ...]]]:
    return [list(map(tuple, query(database, statement))) for statement in (ROWS, FEEDBACK)]


def given(database: Path) -> dict[str, tuple[Any, ...]]:
    names = ("trace_id", "request_id", "session", "kind", "score", "author", "source")
    rows = query(database, FEEDBACK)
    assert None not in [row["joined_at_us"] for row in rows]
    return {row["metric"]: tuple(row[name] for name in names) for row in rows}


@pytest.mark.parametrize("is_reversed", [False, True])
def test_langfuse_tables_become_generations_with_their_traces_and_scores(
    run: Run, tmp_path: Path, database: Path, is_reversed: bool
) -> None:
    names = write_files(tmp_path, langfuse_files())

    done = run("import", *(reversed(names) if is_reversed else names))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "rows      8 read, 2 added, 0 there already, 4 of feedback, 2 of other things, 0 refused",
        "feedback  4 added, 0 there already",
    ]
    answered, failed = query(database, ROWS)
    assert (answered["request_id"], answered["trace_id"], answered["parent_span_id"]) == (
        "gen-1",
        TRACE,
        "agent-1",
    )
    assert (answered["started_at_us"], answered["ended_at_us"]) == (START_US, START_US + 1_500_000)
    assert answered["first_byte_at_us"] == START_US + 250_000
    assert (answered["prompt_tokens"], answered["cached_tokens"], answered["completion_tokens"]) == (
        42,
        30,
        4,
    )
    assert (answered["cost_nanousd"], answered["price_version"]) == (30_000, "langfuse")
    assert (answered["user"], answered["session"], answered["environment"]) == (
        "ann",
        "visit-7",
        "production",
    )
    assert (answered["prompt"], answered["prompt_version"]) == ("librarian", "3")
    assert answered["key_name"] == "import:langfuse"
    metadata = json.loads(answered["metadata"])
    assert (metadata["tags"], metadata["release"], metadata["floor"]) == (["beta", "maps"], "r12", "2")
    request, response = bodies(database, answered)
    assert request == {"model": "gpt-4o-mini", "temperature": 0.2, "messages": [QUESTION]}
    assert response["choices"][0]["message"] == {"role": "assistant", "content": "Shelf nine."}
    assert (failed["outcome"], failed["error"]) == ("upstream_error", "the model was overloaded")
    assert failed["cost_nanousd"] is None
    assert given(database) == {
        "helpful": (TRACE, "gen-1", None, "thumb", 1.0, None, "human"),
        # A tool is no request here, so its score is on the trace.
        "quality": (TRACE, None, None, "score", -0.5, None, "model"),
        "mood": (None, None, "visit-7", "custom", None, None, "human"),
        "note": (TRACE, None, None, "comment", None, None, "human"),
    }

    before = content(database)
    again = run("import", *names, *names)
    assert again.stdout.splitlines()[:2] == [
        "rows      16 read, 0 added, 4 there already, 8 of feedback, 4 of other things, 0 refused",
        "feedback  0 added, 8 there already",
    ]
    assert content(database) == before


def test_a_langfuse_trace_of_the_api_holds_its_observations_and_scores(
    run: Run, tmp_path: Path, database: Path
) -> None:
    generation = {
        "id": "gen-1", "traceId": TRACE, "type": "GENERATION", "startTime": "2026-03-02T08:15:00.250Z",
        "endTime": "2026-03-02T08:15:01.750Z", "model": "gpt-4o-mini", "input": {"messages": [QUESTION]},
        "output": "Shelf nine.", "usageDetails": {"input": 42, "output": 4}, "calculatedTotalCost": 0.00003,
    }  # fmt: skip
    score = {"id": "s-1", "traceId": TRACE, "observationId": "gen-1", "name": "helpful",
             "value": 0, "dataType": "BOOLEAN", "source": "API", "timestamp": "2026-03-02T09:00:00Z"}  # fmt: skip
    trace: dict[str, Any] = {
        "id": TRACE,
        "timestamp": "2026-03-02T08:15:00Z",
        "userId": "ann",
        "sessionId": None,
        "tags": [],
    }
    write_lines(tmp_path / "trace", [{**trace, "observations": [generation], "scores": [score]}])

    assert run("import", "trace").returncode == 0

    [row] = query(database, ROWS)
    assert (row["request_id"], row["user"], row["prompt_tokens"], row["cost_nanousd"]) == (
        "gen-1",
        "ann",
        42,
        30_000,
    )
    assert given(database)["helpful"] == (TRACE, "gen-1", None, "thumb", -1.0, None, "human")


@pytest.mark.parametrize("is_reversed", [False, True])
def test_langsmith_runs_of_models_come_with_feedback(
    run: Run, tmp_path: Path, database: Path, is_reversed: bool
) -> None:
    names = write_files(tmp_path, langsmith_files())

    done = run("import", *(reversed(names) if is_reversed else names))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "rows      4 read, 1 added, 0 there already, 2 of feedback, 1 of other things, 0 refused"
    )
    [row] = query(database, ROWS)
    assert (row["request_id"], row["trace_id"], row["parent_span_id"]) == (RUN, ROOT_RUN, ROOT_RUN)
    assert (row["provider"], row["model"], row["endpoint"]) == ("openai", "gpt-4o-mini", "chat.completions")
    assert (row["user"], row["session"], row["cost_nanousd"]) == ("ann", "visit-7", 30_000)
    assert (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) == (42, 30, 4)
    assert row["first_byte_at_us"] == START_US + 250_000
    request, response = bodies(database, row)
    assert request == {"model": "gpt-4o-mini", "temperature": 0.2, "messages": [QUESTION]}
    [call] = response["choices"][0]["message"]["tool_calls"]
    assert call == {
        "id": "call-1", "type": "function", "function": {"name": "find", "arguments": '{"what":"maps"}'},
    }  # fmt: skip
    assert given(database) == {
        "correct": (ROOT_RUN, RUN, None, "rating", 0.5, "ben", "human"),
        "judge": (ROOT_RUN, None, None, "score", -1.0, None, "model"),
    }
    assert query(database, FEEDBACK)[0]["feedback_id"] == "11111111-2222-4333-8444-555555555555"

    before = content(database)
    assert run("import", *names).stdout.splitlines()[1] == "feedback  0 added, 2 there already"
    assert content(database) == before


@pytest.mark.parametrize("is_reversed", [False, True])
def test_tensorzero_inferences_have_the_tokens_of_their_models_and_feedback_of_all_tables(
    run: Run, tmp_path: Path, database: Path, is_reversed: bool
) -> None:
    names = write_files(tmp_path, tensorzero_files())

    done = run("import", *(reversed(names) if is_reversed else names))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "rows      7 read, 1 added, 0 there already, 4 of feedback, 2 of other things, 0 refused"
    )
    [row] = query(database, ROWS)
    assert (row["request_id"], row["trace_id"], row["span_name"]) == (INFERENCE, EPISODE, "librarian")
    assert (row["started_at_us"], row["ended_at_us"]) == (START_US, START_US + 1_500_000)
    assert (row["provider"], row["model"], row["finish_reason"]) == ("openai", "gpt-4o-mini", "stop")
    assert (row["prompt_tokens"], row["completion_tokens"], row["user"]) == (42, 4, "ann")
    request, response = bodies(database, row)
    assert request["messages"] == [{"role": "system", "content": "Be brief."}, QUESTION]
    assert response["choices"][0]["message"] == {"role": "assistant", "content": "Shelf nine."}
    assert given(database) == {
        "solved": (EPISODE, INFERENCE, None, "thumb", 1.0, "cy", "human"),
        "fraction": (EPISODE, None, None, "rating", 0.5, None, "human"),
        "comment": (EPISODE, None, None, "comment", None, None, "human"),
        "demonstration": (EPISODE, INFERENCE, None, "edit", None, None, "human"),
    }
    assert [row["edited_text"] for row in query(database, FEEDBACK)] == [None, "Shelf ten.", None, None]

    before = content(database)
    assert run("import", *names, *names).stdout.splitlines()[1] == "feedback  0 added, 8 there already"
    assert content(database) == before


def test_feedback_that_is_imported_first_waits_for_its_request(
    run: Run, tmp_path: Path, database: Path
) -> None:
    names = write_files(tmp_path, tensorzero_files())

    run("import", names[0])
    assert [row["joined_at_us"] for row in query(database, FEEDBACK)] == [None] * 4
    run("import", *names[1:])

    assert given(database)["demonstration"][:2] == (EPISODE, INFERENCE)


def test_tables_are_read_as_parquet_and_csv(run: Run, tmp_path: Path, database: Path) -> None:
    files = langfuse_files()
    written = [
        {name: value for name, value in row.items() if name != "metadata"}
        for row in files["observations.jsonl"]
    ]
    table = pyarrow.Table.from_pylist([{**dict.fromkeys(written[1]), **row} for row in written])
    pyarrow.parquet.write_table(table, tmp_path / "observations.parquet")
    with (tmp_path / "scores.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*files["scores.jsonl"][0], "session_id"])
        writer.writeheader()
        writer.writerows(files["scores.jsonl"])

    done = run("import", "scores.csv", "observations.parquet")

    assert (done.returncode, done.stderr) == (0, "")
    answered, _ = query(database, ROWS)
    assert (answered["prompt_tokens"], answered["cost_nanousd"]) == (42, 30_000)
    assert answered["started_at_us"] == START_US
    scores = {row["metric"]: (row["request_id"], row["score"]) for row in query(database, FEEDBACK)}
    assert scores["helpful"] == ("gen-1", 1.0)
    assert scores["quality"] == (None, -0.5)


def test_bad_rows_are_named_by_their_lines_and_stop_no_other(
    run: Run, tmp_path: Path, database: Path
) -> None:
    good = langfuse_files()["observations.jsonl"][1]
    score = langfuse_files()["scores.jsonl"][0]
    rows = [
        {**good, "start_time": "soon"},
        {**score, "value": 2},
        {**score, "trace_id": None, "dataset_run_id": "run-1", "session_id": None},
        {**tensorzero_files()["feedback.jsonl"][0], "id": "b2c0a1f2-6a4b-4c53-a0b3-1d6b7f1c2d3e"},
        {**langsmith_files()["feedback.jsonl"][0], "score": "high"},
        {"hello": "world"},
        good,
    ]
    write_lines(tmp_path / "rows", rows)

    done = run("import", "rows")

    assert done.returncode == 1
    faults = {line.split(":")[1]: line.partition(": ")[2] for line in done.stderr.splitlines()}
    assert sorted(faults) == ["1", "2", "3", "4", "5", "6"]
    assert faults["1"].startswith("start_time: must be a time such as")
    assert "value of BOOLEAN must be 0 or 1; got 2" in faults["2"]
    assert "datasetRunId is not taken" in faults["3"]
    assert faults["4"].startswith("id: must be a UUIDv7, which holds the time")
    assert faults["5"].startswith("score: must be a number")
    assert faults["6"].startswith("row: has not the fields of any row of")
    assert done.stdout.splitlines()[0] == "rows      7 read, 1 added, 0 there already, 6 refused"
    # Strictly, the first bad row stops it, and what waited until then is not added.
    strict = run("import", "--strict", "--dry-run", "rows")
    assert strict.stdout.splitlines()[0] == "rows      6 read, 0 would be added, 0 there already, 1 refused"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM feedback").fetchone() == (0,)
