"""Jobs in our formats: a killed one goes on behind what it had written, and its file is the same in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.datasets.export_batches import BatchReader, PreparedBatch
from gateway.datasets.export_format import PreparedRow
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportFile
from gateway.datasets.files import ExportFiles
from gateway.datasets.format_exporter import NATIVE, FormatExporter, job_counts
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.models.clock import now_us
from gateway.models.export import Export, ExportStatus
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.datasets.runners import ended, names, until
from tests.datasets.samples import READER, job_of
from tests.store.samples import exchange, feedback

ROWS = 40


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LEASE_SECONDS", 0.3), ("RENEW_SECONDS", 0.02), ("LOOK_SECONDS", 0.02)):
        monkeypatch.setattr(f"gateway.datasets.runner.{name}", value)
    monkeypatch.setattr("gateway.datasets.export_batches.BATCH_ROWS", 4)
    monkeypatch.setattr("gateway.datasets.format_exporter.CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
async def filled(store: Store) -> None:
    seqs = await store.append([exchange(str(number), f"t{number}") for number in range(ROWS)])
    await store.annotate([(seq, Facts()) for seq in seqs], 1)
    await store.put_feedback([feedback(f"f{number}", f"t{number}") for number in range(0, ROWS, 3)])


class Gate:
    """Lets so many batches through; then a runner hangs, as one does whose process is stopped."""

    def __init__(self, batches: int) -> None:
        self.left = batches
        self.read = 0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(1_000)
    write, prepare = ExportFile._write, BatchReader.prepare

    def counted(self: ExportFile, rows: Sequence[PreparedRow]) -> bytes:
        gate.read += len(rows)
        return write(self, rows)

    async def held(self: BatchReader, seqs: Sequence[int]) -> PreparedBatch:
        if gate.left <= 0:
            await asyncio.Event().wait()
        gate.left -= 1
        return await prepare(self, seqs)

    monkeypatch.setattr(ExportFile, "_write", counted)
    monkeypatch.setattr(BatchReader, "prepare", held)
    return gate


def parts_of(store: Store, folder: Path) -> tuple[ExportJobs, ExportRunner]:
    files, exporter = ExportFiles(folder), FormatExporter()
    runner = ExportRunner(store, files, {NATIVE: exporter})
    return ExportJobs(store, files, runner, NATIVE, exporter), runner


async def started(jobs: ExportJobs, **given: str) -> Export:
    query = ExportQuery.read(given)
    export = await jobs.create(query.given, (), "", READER, is_counted=False)
    return await jobs.start(export.export_id, READER)


def tear(folder: Path) -> None:
    """Let a part have more in it than its checkpoint says."""
    [part] = folder.glob("*.part")
    with part.open("ab") as file:
        file.write(b"torn")


async def finished(store: Store, export: Export, runner: ExportRunner) -> Export:
    runner.start()
    done = await ended(store, export)
    await runner.close()
    return done


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
async def test_a_killed_job_goes_on_and_its_file_is_the_same(
    store: Store, filled: None, folder: Path, gate: Gate, name: str
) -> None:
    jobs, runner = parts_of(store, folder)
    whole = await finished(store, await started(jobs, format=name, min_weight="1"), runner)
    assert (whole.status, whole.rows_done, whole.rows_total) == (ExportStatus.SUCCESS, ROWS, ROWS)
    expected = (folder / str(whole.file)).read_bytes()
    assert job_counts(whole).written == 14
    assert sum(job_counts(whole).left_out.values()) == ROWS - 14

    _, killed = parts_of(store, folder)
    gate.left, gate.read = 5, 0
    export = await started(jobs, format=name, min_weight="1")
    killed.start()

    def is_halfway(job: Export) -> bool:
        return (job.rows_done if name == "parquet" else job.checkpoint.get("rows")) == 20

    await until(store, export, is_halfway)
    # As a kill leaves it: nothing is given back, and the part is as long as it happened to become.
    assert killed._task is not None
    killed._task.cancel()
    await asyncio.gather(killed._task, return_exceptions=True)
    for task in asyncio.all_tasks():
        if task.get_name().startswith("export "):
            task.cancel()
    tear(folder)
    gate.left, gate.read = 1_000, 0

    _, other = parts_of(store, folder)
    done = await finished(store, export, other)
    assert done.updated_at_us <= now_us()
    assert (done.status, done.rows_done) == (ExportStatus.SUCCESS, ROWS)
    assert (job_counts(done).written, job_counts(done).left_out) == (14, job_counts(whole).left_out)
    assert names(folder) == sorted([str(whole.file), str(done.file)])
    assert (folder / str(done.file)).read_bytes() == expected
    # Parquet has its footer at the end, so it begins anew.
    assert gate.read == (ROWS if name == "parquet" else ROWS - 20)


async def test_a_stopped_job_goes_on_too_and_one_without_its_part_begins_anew(
    store: Store, filled: None, folder: Path, gate: Gate
) -> None:
    jobs, first = parts_of(store, folder)
    gate.left = 3
    export = await started(jobs, format="jsonl")
    first.start()
    await until(store, export, lambda job: job.rows_done == 12)
    await first.close()
    paused = await job_of(store, export.export_id)
    assert (paused.status, paused.owner, paused.checkpoint["rows"]) == (ExportStatus.IN_PROGRESS, None, 12)
    await store.put_export(
        replace(paused, version=paused.version + 1, checkpoint={**paused.checkpoint, "part": "gone"})
    )
    gate.left, gate.read = 1_000, 0
    _, other = parts_of(store, folder)
    done = await finished(store, export, other)
    assert gate.read == ROWS
    assert len((folder / str(done.file)).read_bytes().splitlines()) == ROWS


async def test_a_cancelled_job_leaves_nothing(store: Store, filled: None, folder: Path, gate: Gate) -> None:
    jobs, runner = parts_of(store, folder)
    gate.left = 3
    export = await started(jobs, format="csv")
    runner.start()
    await until(store, export, lambda job: job.rows_done == 12)
    await jobs.cancel(export.export_id, READER)
    await runner.close()
    assert names(folder) == []
    assert (await job_of(store, export.export_id)).status is ExportStatus.STOPPED
