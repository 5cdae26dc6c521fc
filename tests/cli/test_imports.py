"""`gateway import` over real files, with a real store."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from gateway.cli.import_formats import Translator
from gateway.cli.imports import ImportCounts, ImportJob
from gateway.feedback.imported import ImportedFeedback
from gateway.feedback.payloads import signed_scale
from gateway.models.request import ImportedRequest
from tests.cli.command import COMMAND, plain_environment
from tests.cli.conftest import Run
from tests.cli.export_rows import helicone_row, portkey_row, summary, write_lines
from tests.log_reader import payload, query

ROWS = "SELECT * FROM requests ORDER BY seq"
VOTES = "SELECT * FROM feedback ORDER BY seq"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


def test_history_of_both_comes_along_with_its_feedback(run: Run, tmp_path: Path, database: Path) -> None:
    write_lines(tmp_path / "helicone.jsonl", map(helicone_row, range(4)))
    write_lines(tmp_path / "portkey.jsonl", map(portkey_row, range(3)))

    done = run("import", "helicone.jsonl", "portkey.jsonl")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*summary(7, 7, 0, 2, 2), f"store     {database}"]
    rows = query(database, ROWS)
    assert [row["request_id"] for row in rows] == [
        *(f"helicone-{n}" for n in range(4)),
        *(f"portkey-{n}" for n in range(3)),
    ]
    assert {row["cost_nanousd"] for row in rows} == {52_500}
    assert {row["price_version"] for row in rows} == {"helicone", "portkey"}
    assert [row["key_name"] for row in rows] == ["import:helicone"] * 4 + ["import:portkey"] * 3
    assert {row["ended_at_us"] - row["started_at_us"] for row in rows} == {500_000}
    assert {row["requested_model"] for row in rows} == {"gpt-4o"}
    assert rows[0]["response_id"] == "chatcmpl-0"
    assert rows[4]["user"] == "ann"
    votes = query(database, VOTES)
    assert [(vote["request_id"], vote["value"], vote["dialect"]) for vote in votes] == [
        ("helicone-0", 1, "helicone"), ("helicone-2", 1, "helicone"),
    ]  # fmt: skip
    assert None not in [vote["joined_at_us"] for vote in votes]


def test_importing_again_adds_nothing(run: Run, tmp_path: Path, database: Path) -> None:
    write_lines(
        tmp_path / "rows", [*map(helicone_row, range(600)), *map(portkey_row, range(3)), helicone_row(0)]
    )
    assert run("import", "rows").stdout.splitlines()[:2] == summary(604, 603, 0, 301, 300)
    before = [list(map(tuple, query(database, statement))) for statement in (ROWS, VOTES)]

    again = run("import", "rows", "rows")

    assert again.returncode == 0
    assert again.stdout.splitlines()[:2] == summary(1208, 0, 0, 602, 0)
    assert [list(map(tuple, query(database, statement))) for statement in (ROWS, VOTES)] == before


def test_rows_without_ids_are_recognised_too(run: Run, tmp_path: Path, database: Path) -> None:
    rows = [helicone_row(n, request_id=None) for n in range(3)] + [portkey_row(n, id=None) for n in range(3)]
    write_lines(tmp_path / "rows", rows)

    assert run("import", "rows").stdout.splitlines()[:2] == summary(6, 6, 0, 2, 2)
    assert run("import", "rows").stdout.splitlines()[:2] == summary(6, 0, 0, 2, 0)
    assert all(row["request_id"][14] == "8" for row in query(database, ROWS))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"data": [helicone_row(0), helicone_row(1)], "error": None}).encode(),
        json.dumps([helicone_row(0), helicone_row(1)], indent=2).encode(),
        gzip.compress(b"\n".join(json.dumps(helicone_row(n)).encode() for n in range(2))),
        zstandard.compress(json.dumps([helicone_row(0), helicone_row(1)]).encode()),
    ],
    ids=["reply", "array", "gzip", "zstd"],
)
def test_every_form_of_a_file_is_read(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rows").write_bytes(data)

    assert run("import", "rows").stdout.splitlines()[:2] == summary(2, 2, 0, 1, 1)


def test_a_table_holds_objects_as_text(run: Run, tmp_path: Path, database: Path) -> None:
    row = {**helicone_row(0), "properties": {"team": "north"}}
    with (tmp_path / "rows.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, list(row))
        table.writeheader()
        table.writerow(
            {name: json.dumps(each) if isinstance(each, dict) else each for name, each in row.items()}
        )

    assert run("import", "rows.csv").stdout.splitlines()[0] == summary(1, 1, 0, 1, 1)[0]
    [stored] = query(database, ROWS)
    assert json.loads(stored["metadata"])["team"] == "north"


def test_standard_input_is_read_for_a_hyphen(tmp_path: Path, database: Path) -> None:
    lines = "".join(json.dumps(portkey_row(n)) + "\n" for n in range(3))
    done = subprocess.run(
        [*COMMAND, "import", "-"],
        cwd=tmp_path, env=plain_environment(), input=lines, text=True, capture_output=True, timeout=30, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert len(query(database, ROWS)) == 3


def test_bad_rows_are_told_with_their_lines_and_stop_no_other(
    run: Run, tmp_path: Path, database: Path
) -> None:
    (tmp_path / "rows").write_text(
        "\n".join(
            [
                json.dumps(portkey_row(0)),
                '{"created_at": "yesterd\\u001b[2Jay"}',
                "{",
                json.dumps(portkey_row(1, cost="dear")),
                '{"hello": "world"}',
                json.dumps(portkey_row(2)),
            ]
        )
    )

    done = run("import", "rows")

    assert done.returncode == 1
    second, third, fourth, fifth = done.stderr.splitlines()
    assert second.startswith("rows:2: created_at: must be a time such as")
    assert "\x1b" not in second
    assert third.startswith("rows:3: row: is not JSON")
    assert fourth == 'rows:4: cost: input should be a valid decimal; got "dear".'
    assert fifth.startswith(
        "rows:5: row: has not the fields of any row of helicone, tensorzero, langsmith, langfuse, portkey."
    )
    assert done.stdout.splitlines()[:2] == summary(6, 2, 4, 0, 0)
    assert [row["request_id"] for row in query(database, ROWS)] == ["portkey-0", "portkey-2"]


def test_a_strict_import_stops_at_the_first_bad_row(run: Run, tmp_path: Path, database: Path) -> None:
    write_lines(tmp_path / "rows", [portkey_row(0), {}, {}, portkey_row(1)])

    done = run("import", "--strict", "rows", "rows")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.splitlines()[:2] == summary(2, 1, 1, 0, 0)
    assert len(query(database, ROWS)) == 1


def test_a_dry_run_writes_nothing(run: Run, tmp_path: Path, database: Path) -> None:
    write_lines(tmp_path / "rows", [helicone_row(0), helicone_row(1), {}])

    done = run("import", "--dry-run", "rows")

    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == summary(3, 2, 1, 1, 1, word="would be added")
    assert not database.exists()


def test_a_dry_run_says_what_is_there_already(run: Run, tmp_path: Path, database: Path) -> None:
    run("import", str(write_lines(tmp_path / "some", map(helicone_row, range(3)))))
    write_lines(tmp_path / "all", map(helicone_row, range(5)))

    done = run("import", "--dry-run", "all")

    assert done.stdout.splitlines()[:2] == summary(5, 2, 0, 3, 1, word="would be added")
    assert len(query(database, ROWS)) == 3


def test_rows_become_those_of_a_tenant(run: Run, tmp_path: Path, database: Path) -> None:
    write_lines(tmp_path / "rows", [helicone_row(0)])

    for tenant in ("north", "south", "south"):
        assert run("import", "--tenant", tenant, "rows").returncode == 0

    assert [row["tenant"] for row in query(database, ROWS)] == ["north", "south"]
    assert [vote["tenant"] for vote in query(database, VOTES)] == ["north", "south"]


def test_providers_are_called_what_they_are_called_here(run: Run, tmp_path: Path, database: Path) -> None:
    write_lines(tmp_path / "rows", [helicone_row(0), helicone_row(1, provider="CUSTOM"), portkey_row(0)])

    run("import", "rows", "--provider-map", "CUSTOM=house", "--provider-map", "openai=eu")

    assert [row["provider"] for row in query(database, ROWS)] == ["eu", "house", "eu"]


def test_the_dialect_may_be_named(run: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "rows", [portkey_row(0)])

    refused = run("import", "--from", "helicone", "rows")

    assert refused.stderr == "rows:1: request_created_at: is missing.\n"
    assert run("import", "--from", "portkey", "rows").returncode == 0


def test_the_configuration_says_what_is_kept_and_what_feedback_means(
    run: Run, tmp_path: Path, database: Path
) -> None:
    config = {
        "storage": {"url": f"sqlite:///{database}", "payloads": "off"},
        "providers": {
            "openai": {"base_url": "http://127.0.0.1:1", "payloads": "redacted"},
            "eu": {"base_url": "http://127.0.0.1:1"},
        },
        "prices": {"my-model": {"input": 1, "output": 2}},
        "feedback": {"portkey_scale": "thumbs"},
    }
    (tmp_path / "other.yaml").write_text(json.dumps(config))
    rows = [
        portkey_row(0, feedback={"value": 1}),
        portkey_row(1, ai_org="eu", ai_model="my-model", cost=0),
    ]
    write_lines(tmp_path / "rows", rows)

    run("import", "-c", "other.yaml", "rows")

    first, second = query(database, ROWS)
    kept = payload(database, first["seq"])
    assert kept is not None
    assert b"[redacted 10]" in kept.request_body
    assert payload(database, second["seq"]) is None
    assert (second["cost_nanousd"], second["price_version"]) == (15_000, "config")
    [vote] = query(database, VOTES)
    assert (vote["value"], vote["score"], vote["trace_id"]) == (1, 1, "trace-0")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "FILE"),
        (["absent"], "absent"),
        (["."], "'.'"),
        (["--from", "nobody", "rows"], "nobody"),
        (["--provider-map", "openai", "rows"], "THEIRS=OURS"),
        (["--tenant", "a\x1b", "rows"], "tenant"),
        (["--storage", "mysql://db", "rows"], "sqlite:///"),
    ],
)
def test_wrong_usage_imports_nothing(run: Run, tmp_path: Path, arguments: list[str], named: str) -> None:
    write_lines(tmp_path / "rows", [portkey_row(0)])

    refused = run("import", *arguments)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert named in refused.stderr
    assert not (tmp_path / "gateway.db").exists()


def test_a_store_that_cannot_be_used_is_one_line(run: Run, tmp_path: Path, database: Path) -> None:
    database.write_text("no database" * 1000)
    write_lines(tmp_path / "rows", [portkey_row(0)])

    refused = run("import", "rows")

    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")


async def test_how_far_it_has_come_is_told_every_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.cli.output.PROGRESS_SECONDS", 0)
    monkeypatch.setattr("gateway.cli.imports.BATCH_ROWS", 2)
    file = write_lines(tmp_path / "rows", map(portkey_row, range(5)))
    sizes: list[int] = []

    async def take(batch: Sequence[ImportedRequest], feedback: Sequence[ImportedFeedback]) -> ImportCounts:
        sizes.append(len(batch))
        return ImportCounts(len(batch), 0)

    await ImportJob(Translator("auto", None, signed_scale, {}), take, is_strict=False).run([str(file)])

    assert sizes == [2, 2, 1]
    reported = [line.partition(" read, ") for line in capsys.readouterr().err.splitlines()]
    assert [rows for rows, _, _ in reported] == ["2 rows", "4 rows", "5 rows"]
    assert all(pace.endswith(" a second") for _, _, pace in reported)
