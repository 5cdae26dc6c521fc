"""A process beside an export prepares rows: the file is the same, also where that process is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import orjson
import pytest

from gateway.datasets.export_batches import BatchQueue, BatchReader, HelperLost, PreparedBatch
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportReader
from gateway.datasets.row_process import Helping, RowProcess
from gateway.models.request import Facts
from gateway.store import open_store
from gateway.store.base import Store
from tests.datasets.training_rows import chat
from tests.store.samples import exchange, feedback

ROWS = 40


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.datasets.export_batches.BATCH_ROWS", 4)
    monkeypatch.setattr("gateway.datasets.export_rows.HELPED_ROWS", 10)


@pytest.fixture
async def filled(store: Store) -> Store:
    """Conversations, some the same as others, every third liked or disliked, and long ones among them."""
    exchanges = []
    for number in range(ROWS):
        bodies = chat(f"question {number % 7}", f"answer {number % 5}" * (1 + 50 * (number % 9)))
        asked, answered = map(orjson.dumps, bodies)
        exchanges.append(
            exchange(
                str(number), f"t{number}", metadata={"_user": f"u{number % 4}"},
                request_body=asked, request_size=len(asked), response_body=answered, response_size=len(answered),
            )
        )  # fmt: skip
    seqs = await store.append(exchanges)
    await store.annotate([(seq, Facts()) for seq in seqs], 1)
    entries = [feedback(f"f{n}", f"t{n}", score=1.0 if n % 2 else -1.0) for n in range(0, ROWS, 3)]
    await store.put_feedback(entries)
    return store


async def whole(store: Store, helping: Helping | None, **given: str) -> tuple[bytes, dict[str, int]]:
    async with ExportReader(store, helping).open(ExportQuery.read(given), None) as file:
        pieces = [(piece, file._helper is not None) async for piece in file.chunks()]
        assert any(is_helped for _, is_helped in pieces) is (helping is not None)
        # It has ended before the last bytes, which may take its memory.
        assert file._helper is None
        return b"".join(piece for piece, _ in pieces), file.counts.left_out


@pytest.mark.parametrize(
    ("given", "is_alone"),
    [
        ({"format": "csv"}, False),
        ({"format": "sft", "split": "60/40", "deduplicate": "exact", "unjudged": "true"}, True),
        ({"format": "dpo"}, False),
    ],
)
async def test_a_file_is_the_same_with_and_without_a_process_beside_it(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], is_alone: bool
) -> None:
    monkeypatch.setattr("gateway.datasets.export_batches.BATCH_BYTES", 3_000)
    expected = await whole(filled, None, **given)
    helping = Helping(partial(open_store, f"sqlite:///{tmp_path / 'gateway.db'}"), is_alone)
    monkeypatch.setattr("gateway.datasets.export_rows.HELPED_ROWS", 1)
    assert await whole(filled, helping, **given) == expected
    assert expected[0]


async def test_a_killed_process_costs_no_row(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = RowProcess.prepare
    replies: list[int] = []

    async def killed(self: RowProcess, seqs: Sequence[int]) -> PreparedBatch:
        if len(replies) == 2:
            os.kill(self._process.pid, signal.SIGKILL)
        replies.append(len(seqs))
        return await prepare(self, seqs)

    monkeypatch.setattr(RowProcess, "prepare", killed)
    helping = Helping(partial(open_store, f"sqlite:///{tmp_path / 'gateway.db'}"), is_alone=True)
    assert await whole(filled, helping, format="jsonl") == await whole(filled, None, format="jsonl")
    assert replies == [4, 4, 4]


async def test_the_process_ends_with_its_parent() -> None:
    # A parent that is killed closes the pipe.
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.datasets.row_process", stdin=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 120) == 0


class _Preparer:
    """Prepares at once, or is lost; holds what it was asked for."""

    def __init__(self, *, is_lost: bool = False) -> None:
        self.asked: list[list[int]] = []
        self._is_lost = is_lost

    async def prepare(self, seqs: Sequence[int]) -> PreparedBatch:
        self.asked.append(list(seqs))
        if self._is_lost:
            raise HelperLost
        return PreparedBatch([], seqs[-1], [])


async def test_once_a_process_is_lost_this_one_prepares_the_rest() -> None:
    here, lost = _Preparer(), _Preparer(is_lost=True)
    queue = BatchQueue(here)
    queue.add_helper(lost, is_alone=True)
    for seqs in ([1, 2], [3, 4], [5]):
        queue.start(seqs)
        assert (await queue.next()).last_seq == seqs[-1]
    assert (lost.asked, here.asked) == ([[1, 2]], [[1, 2], [3, 4], [5]])
    await queue.aclose()


async def test_rows_that_are_not_stored_any_more_leave_a_batch_short(filled: Store) -> None:
    reader = BatchReader(filled, ExportQuery.read({"format": "jsonl"}), None, str)
    batch = await reader.prepare([ROWS, ROWS + 1, ROWS + 2])
    assert (len(batch.rows), batch.last_seq, batch.rest) == (1, ROWS + 2, [])
