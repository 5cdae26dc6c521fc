"""Which rows an export writes, and in what memory."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.datasets.row_writer import Progress
from gateway.errors import BadInput
from gateway.models.export import Export
from gateway.models.request import Facts, Payload
from gateway.store.base import Store
from tests.store.samples import exchange

from .samples import DIALECT, EXPORTER


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.datasets.row_writer.PAGE_ROWS", 3)


def export(last_seq: int, **others: Any) -> Export:
    given: dict[str, Any] = {"filters": {}, "columns": ("id",), "created_at_us": 1, "updated_at_us": 1}
    return Export(export_id="job", exporter=DIALECT, last_seq=last_seq, **{**given, **others})


async def written(store: Store, job: Export, progress: Progress | None = None) -> list[Any]:
    file = io.BytesIO()
    await EXPORTER.write_file(store, job, file, progress or Progress())
    return [json.loads(line) for line in file.getvalue().splitlines()]


async def ids(store: Store, job: Export) -> list[str]:
    return [row["id"] for row in await written(store, job)]


async def fill(store: Store, count: int, **others: Any) -> int:
    """Store rows that have been interpreted; returns the last one's seq."""
    seqs = await store.append([exchange(str(number), **others) for number in range(count)])
    await store.annotate([(seq, Facts(model="even" if seq % 2 == 0 else "odd")) for seq in seqs], 1)
    return seqs[-1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7])
async def test_every_row_is_written_once_and_in_order_however_pages_fall(store: Store, count: int) -> None:
    last = await fill(store, count)
    progress = Progress()
    assert [row["id"] for row in await written(store, export(last), progress)] == [
        str(number) for number in range(count)
    ]
    assert (progress.rows_total, progress.rows_done) == (count, count)


async def test_an_empty_log_makes_an_empty_file(store: Store) -> None:
    assert await written(store, export(0)) == []


async def test_rows_that_were_logged_after_the_start_are_not_written(store: Store) -> None:
    last = await fill(store, 4)
    await fill(store, 4)
    assert await ids(store, export(last)) == ["0", "1", "2", "3"]


async def test_only_what_the_filters_mean_is_written_and_only_of_its_tenant(store: Store) -> None:
    await fill(store, 4, tenant="north")
    last = await fill(store, 4)
    assert await ids(store, export(last, tenant="north")) == ["0", "1", "2", "3"]
    assert await ids(store, export(last, tenant="north", filters={"model": "even"})) == ["1", "3"]
    assert await ids(store, export(last, tenant="south")) == []


async def test_pages_of_an_export_follow_each_other_without_a_gap(store: Store) -> None:
    last = await fill(store, 10)
    pages = [{"limit": 4, "offset": offset} for offset in (0, 4, 8, 12)]
    found = [await ids(store, export(last, filters=page)) for page in pages]
    assert found == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"], []]


async def test_bodies_are_read_in_groups_that_stay_small(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [10, 10, 500, 10, 90, 10]
    seqs = await store.append(
        [exchange(str(size), request_body=b"x" * size, request_size=size, response_size=0) for size in sizes]
    )
    await store.annotate([(seq, Facts()) for seq in seqs], 1)
    read, groups = store.payloads, []

    async def payloads(seqs: list[int], *, in_background: bool) -> dict[int, Payload]:
        groups.append(len(seqs))
        return await read(seqs, in_background=in_background)

    monkeypatch.setattr(store, "payloads", payloads)
    monkeypatch.setattr("gateway.datasets.formats.BATCH_BYTES", 100)
    rows = await written(store, export(seqs[-1], columns=("body",)))
    assert [len(row["body"]) for row in rows] == sizes
    assert groups == [2, 1, 2, 1]


async def test_no_body_is_read_where_none_is_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    last = await fill(store, 4)
    monkeypatch.setattr(store, "payloads", None)
    assert len(await ids(store, export(last))) == 4


async def test_the_newest_rows_are_written_once_they_are_understood(store: Store) -> None:
    [seq] = await store.append([exchange("a")])
    writing = asyncio.create_task(written(store, export(seq, columns=("id", "model"))))
    await asyncio.sleep(0.05)
    assert not writing.done()
    await store.annotate([(seq, Facts(model="m"))], 1)
    assert await writing == [{"id": "a", "model": "m"}]


async def test_rows_that_nobody_understands_are_written_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.datasets.row_writer.FACTS_SECONDS", 0.0)
    [seq] = await store.append([exchange("a")])
    assert await written(store, export(seq, columns=("id", "model"))) == [{"id": "a", "model": None}]


async def test_one_that_is_stopped_writes_no_more(store: Store) -> None:
    last = await fill(store, 10)
    assert await written(store, export(last), Progress(is_stopped=True)) == []


async def test_filters_that_mean_nothing_are_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="nonsense"):
        await written(store, replace(export(0), filters={"nonsense": 1}))
