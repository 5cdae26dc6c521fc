"""From the journal into the store: each row once, in order, with its facts, whatever fails or dies meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
from pathlib import Path
from zlib import crc32

import pytest

from gateway.errors import Conflict
from gateway.models.exchange import Exchange, Outcome, PayloadPolicy
from gateway.models.quota import Quota, Unit, Window
from gateway.models.request import Facts
from gateway.recording.ingester import Ingester, QuotaAccounting
from gateway.recording.interpreter import CostCalculator
from gateway.recording.recorder import Recorder
from gateway.store.base import JournalPosition, Store
from gateway.store.journal import RECORD_MAGIC, encode_record, read_file
from gateway.store.journal_files import GatewayJournal, SegmentWriter, all_segments, gateway_folders
from gateway.wire.pricing import ConfiguredPrice, PriceTable
from tests.store.samples import requests_of

from .conftest import MIB, PRICING, MakeRecorder, ingest_all, ingesting
from .watched import DOWN, REPLY, WatchedStore, chat, until


async def stored(store: Store) -> list[str]:
    return [record.request_id for record in await requests_of(store)]


async def test_what_is_journaled_is_stored_soon_with_its_facts(
    recorder: Recorder, store: Store, root: Path, journal: GatewayJournal
) -> None:
    async with ingesting(store, root, journal):
        await recorder.record(chat("a"))
        await until(journal.state.is_caught_up)
        [record] = await requests_of(store)
        assert (record.request_id, record.model, record.prompt_tokens) == ("a", "gpt-4o", 3)
        assert record.interpreted_at_us is not None
        await recorder.close()
    assert not gateway_folders(root)
    assert await store.journal_positions() == {}


async def test_rows_that_come_together_are_stored_together(
    recorder: Recorder, watched: WatchedStore, root: Path, journal: GatewayJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("gateway.recording.ingester.BATCH_ROWS", 100)
    names = [f"{number:04}" for number in range(150)]
    for name in names:
        await recorder.record(chat(name))
    await recorder.close()
    await ingest_all(watched, root, journal)
    assert [len(batch) for batch in watched.ingested if batch] == [100, 50]
    assert [name for batch in watched.ingested for name in batch] == names


async def test_facts_that_were_read_before_are_used_and_priced(
    recorder: Recorder, store: Store, root: Path, journal: GatewayJournal
) -> None:
    await recorder.record(chat("a", payloads=PayloadPolicy.OFF))
    await recorder.close()
    prices = PriceTable({"gpt-4o": ConfiguredPrice(1.0, 1.0, None, None)}, {})
    own = GatewayJournal(journal.folder)
    ingester = Ingester(store, root, own, CostCalculator(prices, lambda name: None))
    ingester.finish()
    await ingester.run()
    own.close()
    [record] = await requests_of(store)
    assert (record.prompt_tokens, record.cost_nanousd) == (3, 7000)
    assert await store.payload(record.seq) is None


async def test_observers_learn_of_each_row_once_with_how_it_really_ended(
    recorder: Recorder, watched: WatchedStore, root: Path, journal: GatewayJournal
) -> None:
    seen: list[tuple[str, Outcome, int | None]] = []

    def observe(exchange: Exchange, facts: Facts) -> None:
        seen.append((exchange.identity.request_id, exchange.outcome, facts.usage.prompt_tokens))

    watched.failure = DOWN
    async with ingesting(watched, root, journal, observe):
        await recorder.record(chat("a"))
        await recorder.record(chat("b", body=b'{"error":{"message":"no"}}'))
        await until(lambda: bool(journal.state.failing_since_us))
        watched.failure = None
        await until(journal.state.is_caught_up)
        await recorder.close()
    assert seen == [("a", Outcome.COMPLETE, 3), ("b", Outcome.PROVIDER_ERROR, None)]


async def test_while_the_store_fails_rows_wait_and_come_in_order_afterwards(
    recorder: Recorder, watched: WatchedStore, store: Store, root: Path, journal: GatewayJournal
) -> None:
    watched.failure = DOWN
    async with ingesting(watched, root, journal):
        for number in range(5):
            await recorder.record(chat(str(number)))
        await until(lambda: bool(journal.state.failing_since_us))
        assert journal.state.rows_waiting() == 5
        watched.failure = None
        await until(journal.state.is_caught_up)
        assert not journal.state.failing_since_us
        await recorder.close()
    assert await stored(store) == ["0", "1", "2", "3", "4"]


async def test_a_write_that_was_done_and_not_confirmed_is_not_done_again(
    recorder: Recorder, watched: WatchedStore, store: Store, root: Path, journal: GatewayJournal
) -> None:
    watched.failure, watched.fails_late = DOWN, True
    async with ingesting(watched, root, journal):
        await recorder.record(chat("a"))
        await until(lambda: bool(journal.state.failing_since_us))
        watched.failure = None
        await recorder.record(chat("b"))
        await until(lambda: journal.state.rows_waiting() <= 1 and not journal.state.failing_since_us)
        await until(journal.state.is_caught_up)
        await recorder.close()
    assert await stored(store) == ["a", "b"]


async def test_rows_of_a_gateway_that_is_gone_come_first(
    recorder: Recorder, store: Store, root: Path, journal: GatewayJournal
) -> None:
    dead = GatewayJournal.create(root)
    for worker in (0, 1):
        SegmentWriter(dead, worker, MIB).append([encode_record(chat(f"dead {worker}"))])
    dead.close()
    os.utime(dead.folder, (1000, 1000))
    await recorder.record(chat("alive"))
    await recorder.close()
    await ingest_all(store, root, journal)
    assert await stored(store) == ["dead 0", "dead 1", "alive"]
    assert not gateway_folders(root)


async def test_rows_of_a_gateway_that_runs_are_its_own(
    store: Store, root: Path, journal: GatewayJournal
) -> None:
    other = GatewayJournal.create(root)
    writer = SegmentWriter(other, 0, MIB)
    writer.append([encode_record(chat("other"))])
    await ingest_all(store, root, journal)
    assert await stored(store) == []
    # Its ingester has died; another one takes its place.
    writer.close()
    await ingest_all(store, root, other)
    assert await stored(store) == ["other"]
    other.close()


async def test_what_a_worker_could_not_publish_before_it_died_is_stored_too(
    recorder: Recorder, store: Store, root: Path, journal: GatewayJournal
) -> None:
    await recorder.record(chat("published"))
    [segment] = journal.segments()
    with segment.path.open("ab") as file:
        file.write(b"".join(encode_record(chat("appended"))))
        file.write(b"".join(encode_record(chat("torn")))[:-3])
    await recorder.close()
    ingester = await ingest_all(store, root, journal)
    assert await stored(store) == ["published", "appended"]
    assert journal.state.is_caught_up()
    assert ingester.damaged == 1
    assert not gateway_folders(root)


async def test_damaged_records_are_passed_over_and_counted(
    make_recorder: MakeRecorder, store: Store, root: Path, journal: GatewayJournal
) -> None:
    recorder = make_recorder()
    for name in ("a", "damaged", "c", "harmed!"):
        await recorder.record(chat(name))
    [segment] = journal.segments()
    content = segment.path.read_bytes().replace(b"damaged", b"DAMAGED").replace(b"harmed!", b"HARMED!")
    with segment.path.open("r+b") as file:
        file.write(content)
    async with ingesting(store, root, journal) as ingester:
        await until(journal.state.is_caught_up)
        assert (await stored(store), ingester.damaged) == (["a", "c"], 2)
        await recorder.record(chat("d"))
        await until(journal.state.is_caught_up)
        await recorder.close()
    assert await stored(store) == ["a", "c", "d"]


async def test_a_row_that_no_store_takes_holds_up_no_other(
    recorder: Recorder, watched: WatchedStore, store: Store, root: Path, journal: GatewayJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ingest = watched.ingest

    async def refuse(rows, *others):  # type: ignore[no-untyped-def]
        if any(exchange.identity.request_id == "odd" for exchange, _ in rows):
            raise ValueError("nobody thought of this")
        return await ingest(rows, *others)

    monkeypatch.setattr(watched, "ingest", refuse)
    for name in ("a", "odd", "c"):
        await recorder.record(chat(name))
    await recorder.close()
    ingester = await ingest_all(watched, root, journal)
    assert await stored(store) == ["a", "c"]
    assert ingester.rejected == 1
    [[entry]] = read_file(root / "rejected")
    assert entry.exchange == chat("odd")


async def test_a_record_of_a_later_version_is_set_aside_and_holds_up_no_other(
    recorder: Recorder, watched: WatchedStore, root: Path, journal: GatewayJournal
) -> None:
    await recorder.record(chat("a"))
    [segment] = journal.segments()
    payload = struct.pack("<II", 9, 0) + b"{later: 1}"[:9]
    later = struct.pack("<4sII", RECORD_MAGIC, len(payload), crc32(payload)) + payload
    with segment.path.open("ab") as file:
        file.write(b"".join(encode_record(chat("b"))) + later + b"".join(encode_record(chat("c"))) + later)
    await recorder.close()
    ingester = await ingest_all(watched, root, journal)
    assert await stored(watched._store) == ["a", "b", "c"]
    assert (ingester.rejected, ingester.damaged) == (2, 0)
    assert (root / "rejected").read_bytes() == later * 2
    assert not gateway_folders(root)


async def test_a_segment_is_deleted_once_the_store_has_it_on_the_disk(
    recorder: Recorder, watched: WatchedStore, root: Path, journal: GatewayJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    there: list[int] = []
    sync = watched._store.sync_positions

    async def note(forgotten: tuple[str, ...] = ()) -> None:
        there.append(len(all_segments(root)))
        await sync(forgotten)

    monkeypatch.setattr(watched._store, "sync_positions", note)
    async with ingesting(watched, root, journal):
        await recorder.record(chat("a"))
        await until(journal.state.is_caught_up)
        assert len(all_segments(root)) == 1
        journal.state.ask_for_rotation()
        await recorder._rotate()
        await until(lambda: not all_segments(root) and not journal.state.size_bytes())
        # With its rows, then with its position.
        assert there == [1, 0]
        await recorder.close()


async def test_a_segment_is_deleted_while_rows_come_without_end(
    recorder: Recorder, watched: WatchedStore, root: Path, journal: GatewayJournal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ingest, is_busy, names = watched.ingest, True, itertools.count()

    async def go_on(*given):  # type: ignore[no-untyped-def]
        if is_busy:
            await recorder.record(chat(f"next-{next(names)}"))
        return await ingest(*given)

    monkeypatch.setattr(watched, "ingest", go_on)
    async with ingesting(watched, root, journal):
        await recorder.record(chat("a"))
        [first] = journal.segments()
        journal.state.ask_for_rotation()
        await recorder._rotate()
        await until(lambda: not first.exists())
        is_busy = False
        await recorder.close()


@pytest.mark.parametrize("stage", ["stored", "renamed", "forgotten"])
async def test_a_kill_while_a_segment_is_deleted_makes_no_second_rows(
    recorder: Recorder, store: Store, root: Path, journal: GatewayJournal, stage: str
) -> None:
    await recorder.record(chat("a"))
    await recorder.close()
    [segment] = journal.segments()
    content = segment.path.read_bytes()
    name = segment.name
    folder = journal.folder
    await ingest_all(store, root, journal)
    folder.mkdir()
    segment.path.with_suffix(".seg" if stage == "stored" else ".done").write_bytes(content)
    if stage != "forgotten":
        await store.ingest([], JournalPosition({}, {name: len(content)}), 1)
    await ingest_all(store, root, None)
    assert await stored(store) == ["a"]
    assert not gateway_folders(root)
    assert await store.journal_positions() == {}


async def test_positions_that_another_process_moved_are_read_again(
    recorder: Recorder, watched: WatchedStore, store: Store, root: Path, journal: GatewayJournal
) -> None:
    watched.failure, watched.fails_late = Conflict("moved"), True
    async with ingesting(watched, root, journal):
        await recorder.record(chat("a"))
        await until(lambda: bool(watched.ingested))
        watched.failure = None
        await until(journal.state.is_caught_up)
        await recorder.close()
    assert await stored(store) == ["a"]
    assert not journal.state.failing_since_us


async def test_usage_of_quotas_is_stored_with_the_rows(
    recorder: Recorder, store: Store, root: Path, journal: GatewayJournal
) -> None:
    limits = (Quota(10, Unit.TOKENS, Window.DAY), Quota(5, Unit.REQUESTS, Window.DAY))
    notices: list[None] = []
    own = GatewayJournal(journal.folder)
    ingester = Ingester(
        store, root, own, PRICING, (), QuotaAccounting(store, {"app": limits}), lambda: notices.append(None)
    )
    for name, key in (("a", "app"), ("b", "app"), ("c", "other")):
        await recorder.record(chat(name, key_name=key))
    await recorder.close()
    ingester.finish()
    await ingester.run()
    own.close()
    [usage] = await store.spendings()
    assert (usage.key_name, usage.unit, usage.amount) == ("app", Unit.TOKENS, 14)
    assert len(notices) == 1


async def test_at_the_end_a_store_that_fails_keeps_nobody_waiting(
    recorder: Recorder, watched: WatchedStore, store: Store, root: Path, journal: GatewayJournal
) -> None:
    await recorder.record(chat("a", body=REPLY))
    await recorder.close()
    watched.failure = DOWN
    await asyncio.wait_for(ingest_all(watched, root, journal), 5)
    assert await stored(store) == []
    assert journal.state.rows_waiting() == 1


async def test_at_the_end_a_store_that_went_away_before_keeps_nobody_waiting(
    recorder: Recorder, watched: WatchedStore, store: Store, root: Path, journal: GatewayJournal
) -> None:
    watched.failure, watched.is_away = DOWN, True

    async def fail_for_a_while() -> None:
        async with ingesting(watched, root, journal):
            watched.is_away = False
            await recorder.record(chat("a", body=REPLY))
            await until(lambda: bool(journal.state.failing_since_us))
            watched.is_away = True
            await recorder.close()

    await asyncio.wait_for(fail_for_a_while(), 5)
    assert await stored(store) == []
    assert journal.state.rows_waiting() == 1
