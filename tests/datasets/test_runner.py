"""Carrying jobs out: each once, and to its end, whatever happens to its runner."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from gateway.datasets.files import ExportFiles
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.models.clock import now_us
from gateway.models.export import Export, ExportStatus
from gateway.store.base import Store
from tests.store.samples import exchange

from .runners import IDS, ROWS, Held, ended, eventually, in_the_middle, names, put, running, until
from .samples import DIALECT, READER, job_of, lines

pytestmark = pytest.mark.usefixtures("hurried", "rows")


async def test_a_started_job_is_done_and_its_file_holds_what_it_means(
    store: Store, files: ExportFiles, folder: Path, started: Export
) -> None:
    async with running(store, files):
        done = await ended(store, started)
    assert (done.status, done.rows_total, done.rows_done) == (ExportStatus.SUCCESS, ROWS, ROWS)
    assert (done.owner, done.lease_until_us, done.error) == (None, None, None)
    assert names(folder) == [done.file]
    assert lines(folder / str(done.file)) == IDS


async def test_a_runner_is_woken_by_a_start(
    store: Store, jobs: ExportJobs, runner: ExportRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.datasets.runner.LOOK_SECONDS", 60)
    runner.start()
    await asyncio.sleep(0.05)
    export = await jobs.create({}, ["id"], "", READER)
    await jobs.start(export.export_id, READER)
    assert (await ended(store, export)).status is ExportStatus.SUCCESS


async def test_progress_is_told_while_it_goes_on(
    store: Store, files: ExportFiles, started: Export, held: Held
) -> None:
    async with running(store, files, held):
        job = await in_the_middle(store, started)
        assert (job.rows_done, job.rows_total, job.status) == (4, ROWS, ExportStatus.IN_PROGRESS)
        held.may_go.set()
        assert (await ended(store, started)).rows_done == ROWS


async def test_of_many_runners_one_does_the_job(
    store: Store, files: ExportFiles, folder: Path, started: Export, held: Held
) -> None:
    async with running(store, files, held), running(store, files, held), running(store, files, held):
        await in_the_middle(store, started)
        # Longer than a lease: the one that works on it renews it.
        await asyncio.sleep(1.2)
        held.may_go.set()
        done = await ended(store, started)
    assert held.began == 1
    assert lines(folder / str(done.file)) == IDS


async def test_a_job_whose_runner_died_is_done_anew_once_its_lease_is_over(
    store: Store, files: ExportFiles, folder: Path, started: Export
) -> None:
    # As a process leaves it that is killed: the lease is held, and part of a file is there.
    lease_until_us = now_us() + 300_000
    await put(store, started, owner="dead", lease_until_us=lease_until_us, rows_done=4)
    with files.begin(f"{started.export_id}.dead.jsonl") as file:
        file.write(b'{"id":"0"}\n{"id"')
    await store.append([exchange("later")])
    async with running(store, files):
        done = await ended(store, started)
    assert done.updated_at_us > lease_until_us
    assert (done.status, done.rows_done) == (ExportStatus.SUCCESS, ROWS)
    assert names(folder) == [done.file]
    assert lines(folder / str(done.file)) == IDS


async def test_a_runner_that_is_closed_leaves_its_job_to_the_next_at_once(
    store: Store, files: ExportFiles, folder: Path, started: Export, held: Held
) -> None:
    async with running(store, files, held) as runner:
        await in_the_middle(store, started)
        closing = asyncio.create_task(runner.close())
        await asyncio.sleep(0)
        held.may_go.set()
        await closing
    job = await job_of(store, started.export_id)
    assert (job.status, job.owner, job.lease_until_us) == (ExportStatus.IN_PROGRESS, None, None)
    assert names(folder) == []
    async with running(store, files):
        assert (await ended(store, started)).status is ExportStatus.SUCCESS


async def test_a_cancelled_job_is_stopped_and_leaves_nothing(
    store: Store, files: ExportFiles, folder: Path, started: Export, held: Held
) -> None:
    async with running(store, files, held) as runner:
        await in_the_middle(store, started)
        await ExportJobs(store, files, runner, DIALECT, held.file_format).cancel(started.export_id, READER)
        assert (await job_of(store, started.export_id)).status is ExportStatus.STOPPED
        held.may_go.set()
    assert (await job_of(store, started.export_id)).status is ExportStatus.STOPPED
    assert names(folder) == []


async def test_one_that_is_cancelled_elsewhere_is_stopped_too_and_may_begin_again(
    store: Store, files: ExportFiles, folder: Path, started: Export, held: Held, jobs: ExportJobs
) -> None:
    async with running(store, files, held):
        await in_the_middle(store, started)
        # `jobs` is not joined to the runner at work, as if it were in another process.
        await jobs.cancel(started.export_id, READER)
        await jobs.start(started.export_id, READER)
        held.may_go.set()
        done = await ended(store, started)
    assert held.began == 2
    assert names(folder) == [done.file]
    assert lines(folder / str(done.file)) == IDS


async def test_a_runner_that_lost_its_job_does_not_touch_the_others_file(
    store: Store,
    files: ExportFiles,
    folder: Path,
    started: Export,
    held: Held,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.datasets.runner.RENEW_SECONDS", 60)
    async with running(store, files, held):
        # It stands still for longer than its lease, without a sign of life.
        await until(store, started, lambda job: held.began and job.owner)
        async with running(store, files):
            done = await ended(store, started)
        held.may_go.set()
    assert held.began == 1
    assert await job_of(store, started.export_id) == done
    assert names(folder) == [done.file]
    assert lines(folder / str(done.file)) == IDS


async def test_jobs_are_done_one_after_the_other(
    store: Store, files: ExportFiles, jobs: ExportJobs, started: Export, held: Held
) -> None:
    second = await jobs.create({}, ["id"], "", READER)
    await jobs.start(second.export_id, READER)
    async with running(store, files, held):
        await in_the_middle(store, started)
        assert (await job_of(store, second.export_id)).owner is None
        held.may_go.set()
        assert (await ended(store, started)).status is ExportStatus.SUCCESS
        assert (await ended(store, second)).status is ExportStatus.SUCCESS


async def test_jobs_of_dialects_that_are_not_known_here_are_left_alone(
    store: Store, files: ExportFiles, started: Export
) -> None:
    await put(store, started, exporter="elsewhere")
    before = await job_of(store, started.export_id)
    async with running(store, files):
        await asyncio.sleep(0.1)
    assert await job_of(store, started.export_id) == before


async def test_files_are_removed_a_week_after_they_were_written(
    store: Store, files: ExportFiles, folder: Path
) -> None:
    for name, age_days in (("young.jsonl", 6.9), ("old.jsonl", 7.1)):
        with files.begin(name) as file:
            files.finish(file, name)
        os.utime(folder / name, (time.time() - age_days * 86_400,) * 2)
    async with running(store, files):
        await eventually(lambda: names(folder) == ["young.jsonl"])
