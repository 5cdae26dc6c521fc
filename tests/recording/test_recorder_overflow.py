"""Where rows wait while the store does not take them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from gateway.errors import StoreUnavailable
from gateway.recording.interpreter import Interpreter
from gateway.recording.recorder import Overflow
from gateway.store.base import Store
from gateway.store.journal import Journal
from tests.store.samples import requests_of

from .watched import DOWN, WatchedStore, all_read, chat, until


async def healed(overflow: Overflow) -> None:
    await until(lambda: not overflow.is_engaged)


async def stored(store: Store) -> list[str]:
    return [record.request_id for record in await requests_of(store)]


async def test_rows_come_back_in_order_and_once(
    overflow: Overflow, watched: WatchedStore, store: Store
) -> None:
    watched.failure = DOWN
    overflow.engage("down")
    overflow.add([chat("a"), chat("b")])
    overflow.add([chat("c")])
    watched.failure = None
    await healed(overflow)
    assert await stored(store) == ["a", "b", "c"]


async def test_rows_that_come_while_others_are_brought_back_follow_them(
    overflow: Overflow, watched: WatchedStore, store: Store
) -> None:
    overflow.engage("down")
    overflow.add([chat("a")])
    watched.gate.clear()
    await until(lambda: bool(watched.appended))
    overflow.add([chat("b")])
    watched.gate.set()
    await healed(overflow)
    assert await stored(store) == ["a", "b"]


async def test_rows_that_come_without_a_pause_do_not_keep_the_store_from_being_used_again(
    overflow: Overflow, store: Store
) -> None:
    overflow.engage("down")
    names: list[str] = []
    while await overflow.takes_rows():
        names.append(str(len(names)))
        overflow.add([chat(names[-1])])
        await asyncio.sleep(0.001)
    assert await stored(store) == names


async def test_who_waited_for_the_last_round_is_told_when_it_failed(
    overflow: Overflow, watched: WatchedStore, store: Store
) -> None:
    overflow.engage("down")
    overflow.add([chat("a")])
    watched.gate.clear()
    await until(lambda: len(watched.appended) == 1)
    overflow.add([chat("b")])
    watched.gate.set()
    watched.gate.clear()
    await until(lambda: len(watched.appended) == 2)
    watched.failure = DOWN
    waiting = asyncio.create_task(overflow.takes_rows())
    await asyncio.sleep(0)
    assert not waiting.done()
    watched.gate.set()
    assert await waiting
    watched.failure = None
    await healed(overflow)
    assert await stored(store) == ["a", "b"]


async def test_what_an_earlier_process_left_is_brought_back_at_the_start(
    overflow: Overflow, store: Store, tmp_path: Path
) -> None:
    Journal(tmp_path / "gateway.db.spill").add(chat("left"))
    await overflow.start()
    assert not overflow.is_engaged
    assert await stored(store) == ["left"]
    assert not (tmp_path / "gateway.db.spill").exists()


async def test_what_a_worker_that_is_no_more_left_is_brought_back_at_the_start(
    watched: WatchedStore, interpreter: Interpreter, store: Store, tmp_path: Path
) -> None:
    own, left_behind = Journal(tmp_path / "gateway.db.spill"), Journal(tmp_path / "gateway.db.spill.3")
    left_behind.add(chat("left"))
    overflow = Overflow(own, cast(Store, watched), interpreter, [left_behind])
    watched.failure = DOWN
    await overflow.start()
    overflow.add([chat("new")])
    watched.failure = None
    await healed(overflow)
    assert await stored(store) == ["left", "new"]
    assert own.is_empty
    assert left_behind.is_empty
    await overflow.close()


async def test_a_row_that_was_stored_before_the_process_died_is_not_stored_again(
    overflow: Overflow, store: Store, tmp_path: Path
) -> None:
    await store.append([chat("twice")])
    Journal(tmp_path / "gateway.db.spill").add(chat("twice"))
    await overflow.start()
    assert await stored(store) == ["twice"]


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("nobody thought of this")])
async def test_a_store_that_fails_at_the_start_is_tried_again(
    overflow: Overflow, watched: WatchedStore, store: Store, tmp_path: Path, failure: Exception
) -> None:
    Journal(tmp_path / "gateway.db.spill").add(chat("left"))
    watched.failure = failure
    await overflow.start()
    assert overflow.is_engaged
    watched.failure = None
    await healed(overflow)
    assert await stored(store) == ["left"]


async def test_requests_are_refused_only_while_rows_have_nowhere_to_go(overflow: Overflow) -> None:
    overflow.refuse_while_engaged()
    overflow.engage("down")
    with pytest.raises(StoreUnavailable):
        overflow.refuse_while_engaged()
    await healed(overflow)
    overflow.refuse_while_engaged()


async def test_a_row_that_fits_nowhere_is_counted_as_lost(
    tmp_path: Path, watched: WatchedStore, interpreter: Interpreter, store: Store
) -> None:
    overflow = Overflow(Journal(tmp_path), store, interpreter)
    overflow.add([chat("a"), chat("b")])
    assert (overflow.rows_journaled, overflow.rows_lost) == (0, 2)


async def test_what_is_brought_back_is_interpreted(
    overflow: Overflow, watched: WatchedStore, interpreter: Interpreter, store: Store
) -> None:
    interpreter.start()
    overflow.engage("down")
    overflow.add([chat("a")])
    await healed(overflow)
    await all_read(store)
    [record] = await requests_of(store)
    assert record.prompt_tokens == 3
