"""What versions left that stored each request in two steps, and kept rows in a file while the store failed."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from gateway.recording.leftovers import Leftovers
from gateway.store.base import Store
from tests.store.samples import requests_of
from tests.store.test_journal import old_record

from .conftest import PRICING
from .watched import DOWN, WatchedStore, chat


async def test_rows_without_facts_and_rows_of_old_files_are_taken_in_once(
    store: Store, watched: WatchedStore, tmp_path: Path
) -> None:
    database = tmp_path / "gateway.db"
    await store.append([chat("unread"), chat("twice")])
    (tmp_path / "gateway.db.spill").write_bytes(old_record(chat("twice")) + old_record(chat("waited")))
    (tmp_path / "gateway.db.spill.3").write_bytes(old_record(chat("other worker")) + b"\xf1SPLtorn")
    (tmp_path / "other.db.spill").write_bytes(b"\xf1SPL")
    watched.failure = DOWN
    leftovers = Leftovers(watched, database, PRICING)
    taking_in = asyncio.create_task(leftovers.take_in())
    await asyncio.sleep(0.05)
    watched.failure = None
    await taking_in
    await leftovers.take_in()
    found = await requests_of(store)
    assert sorted(record.request_id for record in found) == ["other worker", "twice", "unread", "waited"]
    assert {record.prompt_tokens for record in found} == {3}
    assert sorted(name for name in os.listdir(tmp_path) if "spill" in name) == ["other.db.spill"]


async def test_the_file_of_a_gateway_of_an_earlier_version_that_runs_is_left_to_it(
    store: Store, tmp_path: Path
) -> None:
    spill = tmp_path / "gateway.db.spill"
    spill.write_bytes(old_record(chat("waits")))
    with (tmp_path / "gateway.db.lock.0").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        await Leftovers(store, tmp_path / "gateway.db", PRICING).take_in()
        assert spill.exists()
    await Leftovers(store, tmp_path / "gateway.db", PRICING).take_in()
    assert not spill.exists()
    assert [record.request_id for record in await requests_of(store)] == ["waits"]
