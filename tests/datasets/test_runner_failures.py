"""When the disk, the store or the export itself fails: the job says why, or goes on later."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.datasets.files import ExportFiles
from gateway.datasets.jobs import ExportJobs
from gateway.errors import StoreUnavailable
from gateway.models.export import Export, ExportStatus
from gateway.store.base import Store

from .runners import IDS, Held, ended, names, put, running, until
from .samples import READER, lines

pytestmark = pytest.mark.usefixtures("hurried", "rows")


def block(folder: Path) -> None:
    """Put something in a folder's place."""
    folder.write_text("in the way")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (OSError(28, "No space left on device"), "the file cannot be written: No space left on device."),
        (ZeroDivisionError("inside"), "something went wrong; the gateway's log has more."),
    ],
)
async def test_a_job_that_fails_says_why_and_the_next_one_is_done(
    store: Store, files: ExportFiles, folder: Path, jobs: ExportJobs, started: Export, held: Held,
    failure: Exception, reason: str,
) -> None:  # fmt: skip
    held.failure = failure
    held.may_go.set()
    async with running(store, files, held):
        failed = await ended(store, started)
        assert (failed.status, failed.error, failed.file) == (ExportStatus.FAILED, reason, None)
        assert names(folder) == []
        held.failure = None
        await jobs.start(started.export_id, READER)
        done = await ended(store, started)
    assert (done.status, done.error) == (ExportStatus.SUCCESS, None)


async def test_filters_that_mean_nothing_any_more_fail_their_job(
    store: Store, files: ExportFiles, started: Export
) -> None:
    await put(store, started, filters={"nonsense": 1})
    async with running(store, files):
        failed = await ended(store, started)
    assert (failed.status, failed.error) == (ExportStatus.FAILED, "nonsense: is not known.")


async def test_a_folder_that_cannot_be_written_fails_the_job(
    store: Store, files: ExportFiles, folder: Path, started: Export
) -> None:
    block(folder)
    async with running(store, files):
        failed = await ended(store, started)
    assert failed.error is not None
    assert failed.error.startswith("the file cannot be written: ")


async def test_a_job_goes_on_once_the_store_works_again(
    store: Store, files: ExportFiles, folder: Path, started: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("the database is locked.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "count_requests", fail)
        async with running(store, files):
            await until(store, started, lambda job: job.version > 4)
            patched.undo()
            done = await ended(store, started)
    assert done.status is ExportStatus.SUCCESS
    assert lines(folder / str(done.file)) == IDS
