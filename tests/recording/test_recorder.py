"""Appending exchanges to the journal: when, what of them, and what happens when it takes none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange, LoggingOptOut, PayloadPolicy
from gateway.recording.recorder import MAX_DIRECT_BYTES, Recorder
from gateway.store.journal import JournalEntry, read_file
from gateway.store.journal_files import GatewayJournal, all_segments
from tests.store.test_journal_files import file_size_limit

from .conftest import MakeRecorder
from .watched import chat


def entries(root: Path) -> Iterator[JournalEntry]:
    for segment in all_segments(root):
        for batch in read_file(segment.path):
            yield from batch


def ids(root: Path) -> list[str]:
    return [entry.exchange.identity.request_id for entry in entries(root)]


@pytest.mark.parametrize("durability", ["commit", "disk"])
async def test_record_returns_when_the_row_is_in_the_journal(
    make_recorder: MakeRecorder, root: Path, durability: str
) -> None:
    recorder = make_recorder(durability=durability)
    await recorder.record(chat("a"))
    assert ids(root) == ["a"]
    large = chat("b", body=b"x" * (MAX_DIRECT_BYTES + 1))
    await recorder.record(large)
    assert [entry.exchange for entry in entries(root)] == [chat("a"), large]


async def test_all_that_end_while_one_group_is_on_its_way_to_the_disk_form_the_next(
    make_recorder: MakeRecorder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", lambda file: synced.append(len(ids(root))))
    recorder = make_recorder(durability="disk")
    await asyncio.gather(*(recorder.record(chat(f"{number:02}")) for number in range(50)))
    assert ids(root) == [f"{number:02}" for number in range(50)]
    assert len(synced) < 5
    assert synced[-1] == 50


async def test_with_an_interval_rows_wait_a_moment_or_until_somebody_asks(
    make_recorder: MakeRecorder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.recording.recorder.INTERVAL_SECONDS", 60)
    recorder = make_recorder(durability="interval")
    await recorder.record(chat("a"))
    assert ids(root) == []
    recorder.flush()
    assert ids(root) == ["a"]
    monkeypatch.setattr("gateway.recording.recorder.INTERVAL_SECONDS", 0.01)
    await recorder.record(chat("b"))
    for _ in range(1000):
        if ids(root) == ["a", "b"]:
            break
        await asyncio.sleep(0.005)
    monkeypatch.setattr("gateway.recording.recorder.MAX_INTERVAL_BYTES", 10)
    await recorder.record(chat("c"))
    assert ids(root) == ["a", "b", "c"]


async def test_a_cancelled_caller_leaves_its_row(make_recorder: MakeRecorder, root: Path) -> None:
    recorder = make_recorder(durability="disk")
    waiting = asyncio.create_task(recorder.record(chat("left")))
    await asyncio.sleep(0)
    waiting.cancel()
    recorder.record_without_waiting(chat("gone"))
    await recorder.close()
    assert ids(root) == ["left", "gone"]


KEPT: list[tuple[dict[str, Any], bytes]] = [
    ({"payloads": PayloadPolicy.REDACTED}, b'{"a":"[redacted 6]"}'),
    ({"payloads": PayloadPolicy.OFF}, b""),
    ({"opt_out": LoggingOptOut(request=True)}, b""),
]


@pytest.mark.parametrize(("given", "kept"), KEPT)
async def test_what_may_not_be_kept_is_not_journaled_but_its_facts_are(
    recorder: Recorder, root: Path, given: dict[str, Any], kept: bytes
) -> None:
    await recorder.record(chat("a", request_body=b'{"a":"s3cret"}', **given))
    assert b"s3cret" not in b"".join(segment.path.read_bytes() for segment in all_segments(root))
    [entry] = entries(root)
    assert entry.exchange.request_body == kept
    assert entry.facts is not None
    assert (entry.facts.model, entry.facts.usage.prompt_tokens) == ("gpt-4o", 3)


async def test_what_cannot_be_redacted_is_not_kept_at_all(
    recorder: Recorder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Exchange:
        raise ValueError("cannot")

    monkeypatch.setattr("gateway.recording.interpreter.redact", fail)
    await recorder.record(chat("a", payloads=PayloadPolicy.REDACTED))
    [entry] = entries(root)
    assert (entry.exchange.payloads, entry.exchange.response_body) == (PayloadPolicy.OFF, b"")


async def test_rows_beyond_the_largest_size_are_lost_and_counted(
    make_recorder: MakeRecorder, root: Path, journal: GatewayJournal
) -> None:
    recorder = make_recorder(max_bytes=300_000)
    for number in range(5):
        await recorder.record(chat(str(number), body=b"x" * 200_000))
    assert ids(root) == ["0", "1"]
    assert recorder.rows_lost == 3
    assert recorder.failure is not None
    # The ingester has stored and deleted everything.
    journal.state.note_deleted(0, journal.state.size_bytes())
    await recorder.record(chat("later"))
    assert ids(root) == ["0", "1", "later"]
    assert recorder.rows_lost == 3
    # Not in one expression with what was asserted above: type checkers believe that it still holds.
    after: str | None = recorder.failure
    assert after is None


async def test_a_gateway_that_refuses_loses_nothing_of_what_it_has_begun(
    make_recorder: MakeRecorder, root: Path, journal: GatewayJournal
) -> None:
    recorder = make_recorder(max_bytes=300_000, refuses=True)
    recorder.refuse_while_failing()
    for number in range(3):
        await recorder.record(chat(str(number), body=b"x" * 200_000))
    with pytest.raises(StoreUnavailable, match="takes no rows"):
        recorder.refuse_while_failing()
    assert (ids(root), recorder.rows_lost) == (["0", "1", "2"], 0)
    journal.state.note_deleted(0, journal.state.size_bytes())
    recorder.refuse_while_failing()
    journal.state.failing_since_us = 1
    with pytest.raises(StoreUnavailable, match="takes no rows"):
        recorder.refuse_while_failing()


async def test_a_full_disk_loses_rows_says_so_and_tears_no_record(recorder: Recorder, root: Path) -> None:
    await recorder.record(chat("a"))
    [segment] = all_segments(root)
    with file_size_limit(segment.size() + 100):
        await recorder.record(chat("b"))
        assert (recorder.rows_lost, recorder.failure) == (1, "file too large")
    await recorder.record(chat("c"))
    assert ids(root) == ["a", "c"]
    assert recorder.rows_lost == 1
    assert not recorder.failure


async def test_segments_end_when_they_are_asked_to(
    recorder: Recorder, root: Path, journal: GatewayJournal
) -> None:
    await recorder.record(chat("a"))
    journal.state.ask_for_rotation()
    await recorder._rotate()
    await recorder.record(chat("b"))
    assert [segment.number for segment in all_segments(root)] == [1, 2]
    await recorder._rotate()
    await recorder.record(chat("c"))
    assert len(all_segments(root)) == 2
    assert ids(root) == ["a", "b", "c"]
