"""Requests with their feedback in each format: right values, and nothing that does not belong into a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import pytest

from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportReader
from gateway.errors import BadInput, Overloaded, TooLarge
from gateway.models.feedback import Kind, Source, Target
from gateway.models.request import Cost, Facts, Usage
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

FORMATS = ("jsonl", "csv", "parquet")
EVIL = '=HYPERLINK("http://evil","x"),\r\n"1" 🙂'
SECRET = "sk-very-secret-key"


def chat(question: str, answer: str, **others: Any) -> dict[str, Any]:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}
    answered = {"id": "chatcmpl-1", "choices": [{"message": {"role": "assistant", "content": answer}}]}
    bodies = [json.dumps(body).encode() for body in (asked, answered)]
    sizes = {"request_size": len(bodies[0]), "response_size": len(bodies[1])}
    return {"request_body": bodies[0], "response_body": bodies[1], **sizes, **others}


async def fill(store: Store) -> None:
    """Three requests of a trace and a session, one of another tenant, and feedback of all kinds."""
    people = {"_user": "ann@example.org", "_session": "s", "team": "@support"}
    headers = ((b"content-type", b"application/json"), (b"authorization", f"Bearer {SECRET}".encode()))
    seqs = await store.append(
        [
            exchange(
                "a", "t", metadata=people, **chat("First?", EVIL, tenant="north", request_headers=headers)
            ),
            exchange("b", "t", metadata=people, **chat("+1", "-1", tenant="north")),
            exchange("c", "u", **chat("Whose?", "South's.", tenant="south")),
        ]
    )
    facts = Facts(model="gpt-4o", usage=Usage(10, 5), cost=Cost(1_500_000, "2026"))
    await store.annotate([(seq, facts) for seq in seqs], 1)
    said = {"author": "ann@example.org", "tenant": "north"}
    thumb = {"kind": Kind.THUMB, "value": 1.0, "score": 1.0, "weight": 0.5}
    await store.put_feedback(
        [
            feedback("f1", "a", target=Target.REQUEST, value=-3.0, score=-0.3, comment="=cmd|x", **said),
            feedback("f2", "t", created_at_us=1_700_000_002_000_000, label="long", **thumb, **said),
            feedback(
                "f3", "a", target=Target.REQUEST, kind=Kind.EDIT, value=None, score=None, tenant="north",
                edited_text="\tBetter", author="bob", source=Source.MODEL, created_at_us=1_700_000_003_000_000,
            ),
            feedback("f4", "t", deleted_at_us=1_700_000_004_000_000, comment="withdrawn words", **said),
            feedback("f5", "u", tenant="south", comment="of the south"),
        ]
    )  # fmt: skip


async def export(store: Store, given: Mapping[str, str], tenant: str | None = "north") -> bytes:
    query = ExportQuery.read(given)
    async with ExportReader(store).open(query, tenant, most_rows=1000) as file:
        return b"".join([data async for data in file.chunks()])


def rows_of(name: str, data: bytes) -> list[dict[str, Any]]:
    if name == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    if name == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
    rows: list[dict[str, Any]] = pandas.read_parquet(io.BytesIO(data)).to_dict("records")
    return rows


async def test_a_line_of_json_holds_the_request_and_its_feedback_whole(store: Store) -> None:
    await fill(store)
    first, second = rows_of("jsonl", await export(store, {"format": "jsonl"}))
    assert (first["request_id"], first["trace_id"], first["model"], first["tenant"]) == (
        "a",
        "t",
        "gpt-4o",
        "north",
    )
    assert (first["started_at"], first["cost_nanousd"]) == ("2023-11-14T22:13:20.000000Z", 1_500_000)
    assert (first["question"], first["answer"]) == ("First?", EVIL)
    # −0.3 with weight 1 and 1 with weight 0.5; an edit has no score.
    assert (first["score"], first["feedback_count"], first["feedback_weight"]) == (0.133333, 3, 1.5)
    entries = {entry["feedback_id"]: entry for entry in first["feedback"]}
    assert list(entries) == ["f1", "f2", "f3"]
    assert (entries["f1"]["via"], entries["f2"]["via"]) == ("request", "trace")
    assert (entries["f1"]["value"], entries["f1"]["weight"], entries["f2"]["label"]) == (-3.0, 1.0, "long")
    assert (entries["f3"]["edited_text"], entries["f3"]["source"]) == ("\tBetter", "model")
    # The one on the trace counts for one of its two requests.
    assert [entries["f2"]["counts_here"], second["feedback"][0]["counts_here"]].count(True) == 1
    assert [entry["feedback_id"] for entry in second["feedback"]] == ["f2"]
    assert (second["question"], second["answer"]) == ("+1", "-1")


async def test_people_have_pseudonyms_that_stay_the_same_unless_names_are_asked_for(store: Store) -> None:
    await fill(store)
    data = await export(store, {"format": "jsonl"})
    first = rows_of("jsonl", data)[0]
    ann = first["user"]
    assert ann.startswith("p-")
    assert [entry["author"] for entry in first["feedback"][:2]] == [ann, ann]
    assert json.loads(first["metadata"]) == {"_user": ann, "_session": "s", "team": "@support"}
    assert b"example.org" not in data
    assert await export(store, {"format": "jsonl"}) == data
    named = rows_of("jsonl", await export(store, {"format": "jsonl", "people": "names"}))[0]
    assert (named["user"], named["feedback"][2]["author"]) == ("ann@example.org", "bob")


async def test_cells_of_csv_are_safe_in_spreadsheets_and_come_back_as_they_were(store: Store) -> None:
    await fill(store)
    data = await export(store, {"format": "csv"})
    first, second = rows_of("csv", data)
    assert data.count(b"\r\n") == 3 + EVIL.count("\r\n")
    assert first["answer"] == "'" + EVIL
    assert (first["comments"], first["edited_text"], first["values"]) == (
        "'=cmd|x",
        "'\tBetter",
        "'-3:1 1:0.5",
    )
    assert (second["question"], second["answer"], second["via"]) == ("'+1", "'-1", "trace")
    # Numbers stay numbers.
    assert (first["score"], first["is_judged"], first["labels"]) == ("0.133333", "true", "long")
    assert [entry["feedback_id"] for entry in json.loads(first["feedback"])] == ["f1", "f2", "f3"]
    risky = ("=", "+", "@", "\t", "\r")
    assert not [cell for row in (first, second) for cell in row.values() if cell.startswith(risky)]


async def test_columns_of_parquet_have_types(store: Store) -> None:
    await fill(store)
    data = await export(store, {"format": "parquet"})
    frame = pandas.read_parquet(io.BytesIO(data))
    types = {name: str(frame[name].dtype) for name in ("started_at", "score", "prompt_tokens", "is_judged")}
    assert types == {
        "started_at": "datetime64[us, UTC]", "score": "float64", "prompt_tokens": "int64", "is_judged": "bool",
    }  # fmt: skip
    assert list(frame["answer"]) == [EVIL, "-1"]
    assert list(frame["started_at"].astype("int64")) == [1_700_000_000_000_000] * 2


@pytest.mark.parametrize("name", FORMATS)
async def test_no_file_holds_what_is_another_tenants_secret_or_withdrawn(store: Store, name: str) -> None:
    await fill(store)
    rows = rows_of(name, await export(store, {"format": name}))
    assert [row["request_id"] for row in rows] == ["a", "b"]
    text = json.dumps(rows, default=str)
    assert not [word for word in ("withdrawn", "outh", SECRET) if word in text]
    await store.erase(await store.find_author_scope("bob", None), 1)
    assert "Better" not in json.dumps(rows_of(name, await export(store, {"format": name})), default=str)
    everybody = rows_of(name, await export(store, {"format": name}, None))
    assert [row["request_id"] for row in everybody] == ["a", "b", "c"]
    assert rows_of(name, await export(store, {"format": name, "model": "none"})) == []


async def test_filters_are_those_of_lists_with_least_weights_and_people(store: Store) -> None:
    await fill(store)

    async def ids(**given: str) -> list[str]:
        return [
            row["request_id"] for row in rows_of("jsonl", await export(store, {"format": "jsonl", **given}))
        ]

    assert await ids(label="long") == ["a", "b"]
    assert await ids(of="feedback", kind="edit") == ["a"]
    assert await ids(**{"metadata.team": "@support", "limit": "1"}) == ["a"]
    assert await ids(min_weight="1") == ["a"]
    assert await ids(min_people="2") == ["a"]
    assert await ids(min_people="1", min_weight="0.5") == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "format"),
        ({"format": "../x"}, "format"),
        ({"format": "csv", "people": "all"}, "people"),
        ({"format": "csv", "texts": "perhaps"}, "texts"),
        ({"format": "csv", "limit": "-1"}, "limit"),
        ({"format": "csv", "min_weight": "nan"}, "min_weight"),
        ({"format": "csv", "from": "someday"}, "from"),
        ({"format": "csv", "of": "users"}, "of"),
        ({"format": "csv", "kind": "edit"}, "kind"),
    ],
)
def test_bad_questions_name_the_field(given: dict[str, str], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        ExportQuery.read(given)
    assert refused.value.field == field


async def test_too_many_rows_or_exports_at_once_are_refused(store: Store) -> None:
    await fill(store)
    reader = ExportReader(store)
    query = ExportQuery.read({"format": "csv"})
    with pytest.raises(TooLarge, match="/api/v1/exports"):
        async with reader.open(query, None, most_rows=2):
            pass
    async with reader.open(ExportQuery.read({"format": "csv", "limit": "2"}), None, most_rows=2) as file:
        assert len(rows_of("csv", b"".join([data async for data in file.chunks()]))) == 2
    reader._number = 4
    with pytest.raises(Overloaded):
        async with reader.open(query, None, most_rows=9):
            pass


@pytest.mark.parametrize("name", FORMATS)
async def test_batches_and_row_groups_make_no_difference(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seqs = await store.append([exchange(str(number), **chat(f"{number}?", "!")) for number in range(25)])
    await store.annotate([(seq, Facts()) for seq in seqs], 1)
    whole = rows_of(name, await export(store, {"format": name}, None))
    monkeypatch.setattr("gateway.datasets.export_rows.SEQS_AT_ONCE", 10)
    monkeypatch.setattr("gateway.datasets.export_batches.BATCH_ROWS", 3)
    monkeypatch.setattr("gateway.datasets.parquet.GROUP_ROWS", 4)
    assert [row["question"] for row in whole] == [f"{number}?" for number in range(25)]
    again = rows_of(name, await export(store, {"format": name}, None))
    assert [str(row) for row in again] == [str(row) for row in whole]
    limited = rows_of(name, await export(store, {"format": name, "limit": "13"}, None))
    assert len(limited) == 13


async def test_a_pseudonym_is_another_in_another_store(tmp_path: Path, store: Store) -> None:
    other = await open_store(f"sqlite:///{tmp_path}/other.db")
    await fill(store)
    await fill(other)
    users = [rows_of("jsonl", await export(each, {"format": "jsonl"}))[0]["user"] for each in (store, other)]
    await other.close()
    assert users[0] != users[1]
