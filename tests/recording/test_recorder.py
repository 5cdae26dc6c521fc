"""Bringing exchanges into the store, and saying when they are safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.models.exchange import LoggingOptOut, PayloadPolicy
from gateway.recording.interpreter import Interpreter
from gateway.recording.recorder import Overflow, Recorder
from gateway.store.base import Store
from tests.store.samples import requests_of

from .watched import DOWN, WatchedStore, chat, until


@pytest.fixture
async def recorder(
    watched: WatchedStore, interpreter: Interpreter, overflow: Overflow
) -> AsyncIterator[Recorder]:
    recorder = Recorder(watched, interpreter, overflow, may_lose_seconds=0)
    recorder.start()
    yield recorder
    watched.gate.set()
    await recorder.close()


async def stored(store: Store) -> list[str]:
    return [record.request_id for record in await requests_of(store)]


async def test_record_returns_when_the_row_is_in_the_store(recorder: Recorder, store: Store) -> None:
    await recorder.record(chat("a"))
    assert await stored(store) == ["a"]


async def test_all_that_end_while_one_group_is_written_form_the_next(
    recorder: Recorder, watched: WatchedStore, store: Store
) -> None:
    watched.gate.clear()
    first = asyncio.create_task(recorder.record(chat("first")))
    await until(lambda: bool(watched.appended))
    others = [asyncio.create_task(recorder.record(chat(f"{number:02}"))) for number in range(50)]
    await asyncio.sleep(0)
    assert recorder.queued == 51
    assert not first.done()
    watched.gate.set()
    await asyncio.gather(first, *others)
    assert watched.appended == [["first"], [f"{number:02}" for number in range(50)]]
    assert recorder.queued == 0
    assert len(await stored(store)) == 51


async def test_without_commit_record_returns_before_the_row_is_stored(
    watched: WatchedStore, interpreter: Interpreter, overflow: Overflow, store: Store
) -> None:
    recorder = Recorder(watched, interpreter, overflow, may_lose_seconds=60)
    recorder.start()
    watched.gate.clear()
    await recorder.record(chat("a"))
    assert await stored(store) == []
    watched.gate.set()
    await recorder.close()
    assert await stored(store) == ["a"]


async def test_without_commit_callers_wait_once_too_much_is_queued(
    watched: WatchedStore, interpreter: Interpreter, overflow: Overflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.recording.recorder.MAX_QUEUE_BYTES", 1000)
    recorder = Recorder(watched, interpreter, overflow, may_lose_seconds=60)
    recorder.start()
    watched.gate.clear()
    waiting = asyncio.create_task(recorder.record(chat("large", body=b"x" * 2000)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    watched.gate.set()
    await waiting
    await recorder.close()


async def test_without_commit_callers_wait_while_something_has_waited_for_longer_than_may_be_lost(
    watched: WatchedStore, interpreter: Interpreter, overflow: Overflow
) -> None:
    recorder = Recorder(watched, interpreter, overflow, may_lose_seconds=0.05)
    recorder.start()
    watched.gate.clear()
    await recorder.record(chat("early"))
    await asyncio.sleep(0.06)
    late = asyncio.create_task(recorder.record(chat("late")))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not late.done()
    watched.gate.set()
    await late
    await recorder.close()


async def test_closing_stores_what_was_taken(recorder: Recorder, watched: WatchedStore, store: Store) -> None:
    for number in range(5):
        recorder.record_without_waiting(chat(str(number)))
    await recorder.close()
    assert await stored(store) == ["0", "1", "2", "3", "4"]


async def test_a_caller_that_stops_waiting_leaves_its_row_behind(
    recorder: Recorder, watched: WatchedStore, store: Store
) -> None:
    watched.gate.clear()
    waiting = asyncio.create_task(recorder.record(chat("left")))
    await until(lambda: bool(watched.appended))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    watched.gate.set()
    await recorder.record(chat("next"))
    assert await stored(store) == ["left", "next"]


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("nobody thought of this")])
async def test_rows_that_the_store_does_not_take_wait_in_the_overflow_and_callers_do_not(
    recorder: Recorder, overflow: Overflow, watched: WatchedStore, store: Store, failure: Exception
) -> None:
    watched.failure = failure
    for name in ("a", "b", "c"):
        await recorder.record(chat(name))
    assert (overflow.is_engaged, overflow.rows_journaled, overflow.rows_lost) == (True, 3, 0)
    watched.failure = None
    await until(lambda: not overflow.is_engaged)
    await recorder.record(chat("d"))
    assert await stored(store) == ["a", "b", "c", "d"]


async def test_rows_that_end_while_others_wait_in_the_overflow_do_not_overtake_them(
    recorder: Recorder, overflow: Overflow, watched: WatchedStore, store: Store
) -> None:
    watched.failure = DOWN
    await recorder.record(chat("a"))
    watched.failure = None
    await recorder.record(chat("b"))
    await until(lambda: not overflow.is_engaged)
    assert await stored(store) == ["a", "b"]


async def test_only_those_that_ask_for_it_are_redacted(recorder: Recorder, store: Store) -> None:
    await asyncio.gather(
        recorder.record(chat("open", request_body=b'{"a":"text"}')),
        recorder.record(chat("redacted", request_body=b'{"a":"text"}', payloads=PayloadPolicy.REDACTED)),
    )
    bodies = {record.request_id: await store.payload(record.seq) for record in await requests_of(store)}
    assert bodies["open"] is not None
    assert bodies["redacted"] is not None
    assert bodies["open"].request_body == b'{"a":"text"}'
    assert bodies["redacted"].request_body == b'{"a":"[redacted 4]"}'


async def test_what_cannot_be_redacted_is_not_kept_at_all(
    recorder: Recorder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("cannot")

    monkeypatch.setattr("gateway.recording.recorder.redact", fail)
    await recorder.record(chat("a", payloads=PayloadPolicy.REDACTED))
    [record] = await requests_of(store)
    assert await store.payload(record.seq) is None


async def test_of_an_omitted_side_nothing_is_in_the_overflow(
    recorder: Recorder, watched: WatchedStore, tmp_path: Path
) -> None:
    watched.failure = DOWN
    await recorder.record(chat("a", request_body=b'{"a":"s3cret"}', opt_out=LoggingOptOut(request=True)))
    spilled = (tmp_path / "gateway.db.spill").read_bytes()
    assert b"chatcmpl-1" in spilled
    assert b"s3cret" not in spilled


async def test_a_redacted_row_in_the_overflow_holds_no_text(
    recorder: Recorder, watched: WatchedStore, tmp_path: Path
) -> None:
    watched.failure = DOWN
    await recorder.record(chat("a", request_body=b'{"a":"s3cret"}', payloads=PayloadPolicy.REDACTED))
    spilled = (tmp_path / "gateway.db.spill").read_bytes()
    assert b"[redacted 6]" in spilled
    assert b"s3cret" not in spilled
