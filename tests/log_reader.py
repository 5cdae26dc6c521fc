"""What tests see of a gateway's database: read from the file itself, while the gateway runs or after."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from gateway.errors import StoreUnavailable
from gateway.models.request import Payload
from gateway.store import requests
from gateway.store.base import leave_encoded
from gateway.store.journal_files import GatewayJournal, gateway_folders, is_gateway_alive
from gateway.store.sqlite.connection import connect_reader

T = TypeVar("T")

PATIENCE_SECONDS = 20


def eventually(find: Callable[[], T]) -> T:
    """Return what `find` finds, once that is true; fail if it never is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
    return found


def wait_until_stored(database: Path) -> None:
    """Return once gateways have stored what they journaled, unless the store fails or they end."""
    wait_for_journal(database.with_name(f"{database.name}.journal"))


def wait_for_journal(root: Path) -> None:
    """Return once the gateways of a journal have stored it, unless the store fails or they end."""
    for folder in gateway_folders(root):
        try:
            journal = GatewayJournal(folder)
        except StoreUnavailable:
            continue  # removed meanwhile
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not journal.state.is_caught_up():
                if journal.state.failing_since_us and journal.is_alive():
                    break
                if not any(is_gateway_alive(each) or _is_ingested(each) for each in gateway_folders(root)):
                    break
                assert time.monotonic() < deadline, (
                    f"rows stay in the journal: {journal.segments()}, {journal.state.progress()[:2]}"
                )
                journal.wake_ingester()
                time.sleep(0.002)
        finally:
            journal.close()


def _is_ingested(folder: Path) -> bool:
    try:
        with (folder / "ingester").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def wait_until_interpreted(database: Path) -> None:
    """Return once the model and tokens of each row are known."""
    eventually(lambda: not query(database, "SELECT 1 FROM requests WHERE interpreted_at_us IS NULL"))


def query(database: Path, sql: str, *values: object) -> list[sqlite3.Row]:
    """Read from a database what was journaled by now, without ever writing to it."""
    wait_until_stored(database)
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)
    try:
        connection.row_factory = sqlite3.Row
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def rows(database: Path, trace_id: str) -> list[sqlite3.Row]:
    """The logged requests of a trace, in the order in which they were stored."""
    return query(database, "SELECT * FROM requests WHERE trace_id = ? ORDER BY seq", trace_id)


def row(database: Path, trace_id: str) -> sqlite3.Row:
    """The only logged request of a trace, which must be there now."""
    [found] = rows(database, trace_id)
    return found


def wait_for_row(database: Path, trace_id: str) -> sqlite3.Row:
    """The only logged request of a trace, waited for."""
    [found] = eventually(lambda: rows(database, trace_id))
    return found


def payload(database: Path, seq: int) -> Payload | None:
    """What was kept of a request's heads and bodies."""
    connection = connect_reader(database, leave_encoded)
    try:
        rows = connection.execute(requests.select_payloads(connection.dialect), (f"[{seq}]",))
        return requests.payloads_from_rows(rows).get(seq)
    finally:
        connection.close()


def read_metrics(url: str, **headers: str) -> dict[str, float]:
    """The samples of /metrics by name and labels, as they are written there."""
    text = httpx.get(f"{url}/metrics", headers=headers).raise_for_status().text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
