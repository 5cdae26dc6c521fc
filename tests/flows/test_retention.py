"""Rows that are kept for so many days, and then are not there any more: in no answer and in no file."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from typing import Any

import httpx

from gateway.models.metrics import DAY_US
from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, read_metrics

CANARY = "c4n4ry-of-old"


def config(days: int | None) -> dict[str, Any]:
    return {"storage": {"retention_days": days}}


def ask(gateway: RunningGateway, text: str) -> str:
    """Ask something and judge the answer; return the trace."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body).raise_for_status()
    trace = answer.headers["x-portkey-trace-id"]
    vote = {"trace_id": trace, "value": 1, "metadata": {"note": text}}
    httpx.post(f"{gateway.url}/v1/feedback", json=vote).raise_for_status()
    return str(trace)


def grow_old(gateway: RunningGateway, days: int) -> None:
    """Let so many days pass for all that a gateway has stored, while it does not run."""
    gateway.stop()
    with closing(sqlite3.connect(gateway.database)) as connection:
        passed = days * DAY_US
        for table, columns in {
            "requests": ("started_at_us", "first_byte_at_us", "ended_at_us"),
            "feedback": ("created_at_us", "updated_at_us", "joined_at_us", "request_started_at_us"),
        }.items():
            changes = ", ".join(f"{column} = {column} - {passed}" for column in columns)
            connection.execute(f"UPDATE {table} SET {changes}")
        connection.commit()


def traces(gateway: RunningGateway) -> list[str]:
    return [row["trace_id"] for row in query(gateway.database, "SELECT trace_id FROM requests ORDER BY seq")]


def files_with(gateway: RunningGateway, text: str) -> list[str]:
    files = [*gateway.folder.glob("gateway.db*"), *gateway.folder.glob("gateway.db*/**/*")]
    return [file.name for file in files if file.is_file() and text.encode() in file.read_bytes()]


def test_what_is_too_old_is_deleted_when_the_gateway_starts(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(30), arguments=("--demo",))
    ask(gateway, CANARY)
    grow_old(gateway, 31)
    gateway.start()
    eventually(lambda: traces(gateway) == [])
    kept = ask(gateway, "young")
    eventually(lambda: "old rows deleted" in gateway.log())
    assert read_metrics(gateway.url)["gateway_rows_expired_total"] == 1
    assert [row["trace_id"] for row in query(gateway.database, "SELECT trace_id FROM feedback")] == [kept]
    assert httpx.get(f"{gateway.url}/api/v1/requests").json()["data"][0]["trace_id"] == kept
    gateway.stop()
    assert (
        run_gateway("compact", "--storage", f"sqlite:///{gateway.database}", cwd=gateway.folder).returncode
        == 0
    )
    assert files_with(gateway, CANARY) == []


def test_what_is_young_enough_stays(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(30), arguments=("--demo",))
    trace = ask(gateway, "hello")
    grow_old(gateway, 30)
    gateway.start()
    young = ask(gateway, "hello")
    gateway.stop()
    assert traces(gateway) == [trace, young]


def test_a_reload_changes_for_how_long_things_are_kept(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(None), arguments=("--demo",))
    ask(gateway, "hello")
    grow_old(gateway, 400)
    gateway.start()
    assert len(traces(gateway)) == 1
    gateway.write_config(config(365))
    gateway.signal(signal.SIGHUP)
    eventually(lambda: traces(gateway) == [])
