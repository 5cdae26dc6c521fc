"""Erased things are gone from the file itself, byte for byte, and erasing holds up nobody for long."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange, Identity
from gateway.models.feedback import Receipt
from gateway.models.request import ErasureScope, Facts
from gateway.store import erasure, open_store
from gateway.store.base import Store
from tests.store.random_data import LATER_US, START_US
from tests.store.samples import exchange, feedback, requests_of

CANARY = "ann-c4n4ry"


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


async def fill(store: Store, rounds: int, dice: random.Random) -> None:
    """Requests and feedback of many people, one of whom leaves a name wherever one can be left."""
    for number in range(rounds):
        people = [dice.choice([CANARY, "bob", "eve", "joe"]) for _ in range(5)]
        seqs = await store.append(
            [an_exchange(dice, person, f"{number}.{n}") for n, person in enumerate(people)]
        )
        await store.annotate(
            [
                (seq, Facts(model="m", response_id=f"resp-{person}-{seq}", note=person))
                for seq, person in zip(seqs, people, strict=True)
            ],
            LATER_US,
        )
        entries = [
            feedback(
                f"f-{number}.{n}",
                f"request-{number}.{n}-{person}",
                author=person,
                comment=f"{person} says " * dice.choice([1, 100]),
                raw=f'{{"user": "{person}"}}',
                metadata={"_user": person},
            )
            for n, person in enumerate(people)
        ]
        await store.put_feedback(
            entries, Receipt(f"scope-{people[0]}", f"key-{number}", "d", (f"f-{number}.0",))
        )
        [entry] = await store.feedback_by_ids([f"f-{number}.0"])
        await store.put_feedback([replace(entry, version=2, comment=f"{people[0]} again")])
    await store.roll_up(LATER_US)


def an_exchange(dice: random.Random, person: str, name: str) -> Exchange:
    body = f"{person} ".encode() * dice.choice([1, 20, 2000])
    metadata = {"_user": person, "_session": f"chat-{person}", "_organisation": f"of-{person}", "n": person}
    identity = Identity(
        f"request-{name}-{person}", f"trace-{name}-{person}", person, person, person, metadata
    )
    return exchange(
        identity=identity,
        path=f"/v1/x?user={person}",
        error=person,
        started_at_us=START_US + dice.randrange(10**10),
        request_body=body + dice.randbytes(3000),
        response_body=dice.randbytes(10) + body,
    )


def files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if text.encode() in path.read_bytes()]


async def test_nothing_is_left_in_any_row_and_the_log_is_empty(store: Store, tmp_path: Path) -> None:
    await fill(store, 30, random.Random(1))
    assert files_with(tmp_path, CANARY)
    await store.erase(await store.find_user_scope(CANARY, None), LATER_US)
    assert (tmp_path / "gateway.db-wal").stat().st_size == 0
    reader = sqlite3.connect(f"file:{tmp_path}/gateway.db?mode=ro", uri=True)
    assert [line for line in reader.iterdump() if CANARY in line] == []
    reader.close()


@pytest.mark.parametrize("seed", range(3))
async def test_after_compacting_there_is_not_a_byte_left_in_any_file(
    store: Store, tmp_path: Path, seed: int
) -> None:
    await fill(store, 40, random.Random(seed))
    await store.erase(await store.find_user_scope(CANARY, None), LATER_US)
    await store.compact()
    assert files_with(tmp_path, CANARY) == []
    assert files_with(tmp_path, "bob") == ["gateway.db"]


async def test_what_is_deleted_is_overwritten_at_once(store: Store, tmp_path: Path) -> None:
    await store.append([exchange(metadata={"_user": CANARY}, request_body=CANARY.encode() * 2000)])
    await store.put_feedback([feedback(author=CANARY)])
    await store.erase(await store.find_user_scope(CANARY, None), LATER_US)
    assert files_with(tmp_path, CANARY) == []


USE_IT_FOR_A_MOMENT = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM requests").fetchone()[0])
connection.close()
"""


def count_elsewhere(folder: Path) -> int:
    """How many requests another process finds, which opens the file for that and closes it."""
    command = [sys.executable, "-c", USE_IT_FOR_A_MOMENT, str(folder / "gateway.db")]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def test_others_still_see_that_the_file_is_in_use_after_an_erasure(
    store: Store, tmp_path: Path
) -> None:
    await store.append([exchange("before")])
    await store.erase(ErasureScope(), LATER_US)
    # A process that took itself for the last to use the file would remove the log, and what comes next with it.
    for number in range(2, 5):
        await store.append([exchange(f"later-{number}")])
        assert count_elsewhere(tmp_path) == number


async def test_compacting_gives_back_the_room(store: Store, tmp_path: Path) -> None:
    dice = random.Random(1)
    await store.append(
        [exchange(metadata={"_user": "ann"}, request_body=dice.randbytes(2**20)) for _ in range(4)]
    )
    await store.erase(await store.find_user_scope("ann", None), LATER_US)
    assert (tmp_path / "gateway.db").stat().st_size > 4 * 2**20
    await store.compact()
    assert (tmp_path / "gateway.db").stat().st_size < 2**20


async def test_sums_that_nobody_reads_do_not_keep_a_name(store: Store, tmp_path: Path) -> None:
    for n in range(8):
        [seq] = await store.append([exchange(f"r{n}", metadata={"_user": CANARY}, started_at_us=START_US)])
        await store.annotate([(seq, Facts(model="m"))], LATER_US)
    await store.roll_up(LATER_US)
    for n in range(8):
        await store.set_property(f"r{n}", "_user", "bob", None)
    assert CANARY in sums(tmp_path)
    await store.erase(await store.find_user_scope(CANARY, None), LATER_US)
    assert CANARY not in sums(tmp_path)


def sums(folder: Path) -> set[object]:
    """All values that sums are split by."""
    connection = sqlite3.connect(folder / "gateway.db")
    try:
        return {row[0] for row in connection.execute("SELECT value FROM usage_rollups")}
    finally:
        connection.close()


async def test_others_write_while_much_is_erased(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "STEP", 1)
    await store.append([exchange(f"r{n}", metadata={"_user": "ann"}) for n in range(100)])
    found = await store.find_user_scope("ann", None)
    task = asyncio.create_task(store.erase(found, LATER_US))
    await store.append([exchange("meanwhile")])
    assert not task.done()
    await task
    assert len(await requests_of(store)) == 101


async def test_somebody_who_reads_an_older_state_is_waited_for_and_then_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite.store.PATIENCE_SECONDS", 0.2)
    await store.append([exchange(metadata={"_user": CANARY})])
    reader = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM requests").fetchall()
    with pytest.raises(StoreUnavailable, match="somebody reads an older state") as refused:
        await store.erase(await store.find_user_scope(CANARY, None), LATER_US)
    assert refused.value.hint == "Send it again."
    reader.execute("COMMIT")
    reader.close()
    await store.erase(await store.find_user_scope(CANARY, None), LATER_US)
    assert files_with(tmp_path, CANARY) == []
