"""Exports through real processes: killed, stopped, cancelled, or two on one database, a file comes out whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

ROWS = 6000
CONFIG: dict[str, Any] = {"providers": {"unused": {"base_url": "http://127.0.0.1:9/v1"}}}


def text(number: int) -> str:
    """What a request says; long, so that an export takes its time."""
    return f"{number} " * 500


def log(number: int) -> dict[str, Any]:
    return {
        "request": {"url": "https://api.openai.com/v1/chat/completions", "body": {"text": text(number)}},
        "response": {"body": {"model": "gpt-4o", "usage": {"prompt_tokens": number, "completion_tokens": 1}}},
        "metadata": {"trace_id": f"trace-{number}"},
    }


def fill(gateway: RunningGateway, first: int = 0, count: int = ROWS) -> None:
    """Tell of so many requests, and wait until they are understood."""
    for start in range(first, first + count, 1000):
        logs = [log(number) for number in range(start, min(start + 1000, first + count))]
        httpx.post(f"{gateway.url}/v1/logs", json=logs, timeout=60).raise_for_status()
    waiting = "SELECT count(*) FROM requests WHERE interpreted_at_us IS NULL"
    eventually(lambda: query(gateway.database, waiting)[0][0] == 0)


def call(gateway: RunningGateway, method: str, path: str = "", **body: Any) -> dict[str, Any]:
    reply = httpx.request(method, f"{gateway.url}/v1/logs/exports{path}", json=body or None, timeout=60)
    found: dict[str, Any] = reply.raise_for_status().json()
    return found


def start(gateway: RunningGateway, **filters: Any) -> str:
    """Start an export of what was told, and return its id."""
    columns = ["id", "trace_id", "request", "req_units"]
    export_id: str = call(gateway, "POST", filters=filters, requested_data=columns)["id"]
    call(gateway, "POST", f"/{export_id}/start")
    return export_id


def folder(database: Path) -> Path:
    return database.with_name("gateway.db.exports")


def in_the_middle(gateway: RunningGateway) -> Path:
    """The part of a file that has something in it."""

    def find() -> list[Path]:
        return [part for part in folder(gateway.database).glob("*.part") if part.stat().st_size]

    return eventually(find)[0]


def finished(gateway: RunningGateway, export_id: str) -> dict[str, Any]:
    def find() -> dict[str, Any]:
        export = call(gateway, "GET", f"/{export_id}")
        return {} if export["status"] == "in_progress" else export

    return eventually(find)


def exported(gateway: RunningGateway, export_id: str) -> list[dict[str, Any]]:
    """What is downloaded of a finished export."""
    link = call(gateway, "GET", f"/{export_id}/download")["signed_url"]
    return [json.loads(line) for line in httpx.get(link, timeout=60).raise_for_status().text.splitlines()]


def check_whole(
    gateway: RunningGateway, export_id: str, rows: int = ROWS, database: Path | None = None
) -> None:
    """Check that an export holds each row that was there at its start, once and in order, and no other file is
    left."""
    database = database or gateway.database
    export = finished(gateway, export_id)
    assert (export["status"], export["rows_done"], export["total_records"]) == ("success", rows, rows)
    stored = query(database, "SELECT request_id, trace_id FROM requests ORDER BY seq LIMIT ?", rows)
    found = exported(gateway, export_id)
    assert [(row["id"], row["trace_id"]) for row in found] == [tuple(row) for row in stored]
    assert [row["request"]["text"] for row in found] == [text(row["req_units"]) for row in found]
    assert [file.suffix for file in folder(database).iterdir()] == [".jsonl"]


def test_an_export_that_is_killed_in_the_middle_comes_out_whole_after_a_restart(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway(CONFIG)
    fill(gateway)
    export_id = start(gateway)
    in_the_middle(gateway)
    gateway.kill()
    assert [file.suffix for file in folder(gateway.database).iterdir()] == [".part"]

    gateway.start()
    assert call(gateway, "GET", f"/{export_id}")["status"] == "in_progress"
    fill(gateway, first=ROWS, count=10)
    check_whole(gateway, export_id)


def test_an_export_that_is_interrupted_by_a_stop_goes_on_at_the_next_start(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway(CONFIG)
    fill(gateway)
    export_id = start(gateway)
    in_the_middle(gateway)
    assert gateway.stop() == 0
    [row] = query(gateway.database, "SELECT status, owner FROM exports")
    assert tuple(row) == ("in_progress", None)
    assert list(folder(gateway.database).iterdir()) == []

    gateway.start()
    check_whole(gateway, export_id)


def test_a_cancelled_export_leaves_no_file_and_may_be_started_again(start_gateway: StartGateway) -> None:
    gateway = start_gateway(CONFIG)
    fill(gateway)
    export_id = start(gateway)
    in_the_middle(gateway)
    call(gateway, "POST", f"/{export_id}/cancel")
    assert call(gateway, "GET", f"/{export_id}")["status"] == "stopped"
    eventually(lambda: not list(folder(gateway.database).iterdir()))
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        call(gateway, "GET", f"/{export_id}/download")

    call(gateway, "POST", f"/{export_id}/start")
    check_whole(gateway, export_id)


def test_of_two_gateways_on_one_database_one_does_the_job_and_if_it_dies_the_other(
    start_gateway: StartGateway,
) -> None:
    first = start_gateway(CONFIG)
    second = start_gateway({**CONFIG, "storage": {"url": f"sqlite:///{first.database}"}})
    fill(first)
    export_id = start(second)
    part = in_the_middle(first)
    [worker] = [gateway for gateway in (first, second) if has_open(gateway, part)]
    worker.kill()
    other = first if worker is second else second
    check_whole(other, export_id, database=first.database)
    [file] = folder(first.database).iterdir()
    assert file.name.split(".")[1] != part.name.split(".")[1]


def has_open(gateway: RunningGateway, path: Path) -> bool:
    """Tell whether a gateway's process has a file open."""
    return path in [handle.readlink() for handle in Path(f"/proc/{gateway.pid}/fd").iterdir()]


def test_a_file_is_its_owners_alone_and_a_link_holds_across_a_restart(start_gateway: StartGateway) -> None:
    gateway = start_gateway(CONFIG)
    fill(gateway, count=3)
    export_id = start(gateway, page_size=2)
    check_whole(gateway, export_id, rows=2)
    [file] = folder(gateway.database).iterdir()
    assert (folder(gateway.database).stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    link = call(gateway, "GET", f"/{export_id}/download")["signed_url"]
    gateway.stop()

    gateway.start()
    path = link.partition("/v1")[2]
    assert len(httpx.get(f"{gateway.url}/v1{path}").raise_for_status().text.splitlines()) == 2
