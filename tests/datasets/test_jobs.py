"""What callers may do with jobs, whatever else happens to them. No runner works here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.datasets.files import ExportFiles
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.errors import BadInput, Conflict, NotFound
from gateway.models.export import Export, ExportStatus
from gateway.models.filters import Page
from gateway.models.principal import Principal
from gateway.store.base import Store
from tests.store.samples import exchange

from .samples import EXPORTER, NORTH, READER, SOUTH, job_of


async def made(jobs: ExportJobs, principal: Principal = READER) -> Export:
    return await jobs.create({}, ["id"], "all", principal)


async def put(store: Store, export_id: str, **changes: object) -> Export:
    """Change a job as a runner would."""
    current = await job_of(store, export_id)
    following = replace(current, version=current.version + 1, **changes)  # type: ignore[arg-type]
    await store.put_export(following)
    return following


async def finished(jobs: ExportJobs, store: Store, files: ExportFiles) -> Export:
    """A job whose file is there."""
    export = await made(jobs)
    name = f"{export.export_id}.runner.jsonl"
    with files.begin(name) as file:
        files.finish(file, name)
    return await put(store, export.export_id, status=ExportStatus.SUCCESS, file=name, rows_done=3)


async def test_a_job_begins_as_a_draft_that_knows_how_much_it_would_write(
    jobs: ExportJobs, store: Store
) -> None:
    await store.append([exchange("a", tenant="north"), exchange("b"), exchange("c")])
    export = await made(jobs)
    assert (export.status, export.rows_total, export.description) == (ExportStatus.DRAFT, 3, "all")
    assert (export.tenant, export.key_name, export.columns) == (None, "reader", ("id",))
    assert await jobs.show(export.export_id, READER) == export
    assert (await made(jobs, NORTH)).rows_total == 1


async def test_filters_that_mean_nothing_make_no_job(jobs: ExportJobs) -> None:
    with pytest.raises(BadInput, match="nonsense"):
        await jobs.create({"nonsense": 1}, ["id"], "", READER)
    assert await jobs.find(Page(), READER) == ([], 0)


async def test_jobs_of_other_tenants_and_dialects_do_not_exist(
    jobs: ExportJobs, store: Store, files: ExportFiles, runner: ExportRunner
) -> None:
    all_, north = await made(jobs), await made(jobs, NORTH)
    elsewhere = ExportJobs(store, files, runner, "elsewhere", EXPORTER)
    assert await jobs.find(Page(), READER) == ([north, all_], 2)
    assert await jobs.find(Page(1, 1), READER) == ([all_], 2)
    assert await jobs.find(Page(), NORTH) == ([north], 1)
    assert await elsewhere.find(Page(), READER) == ([], 0)
    for other, principal, export in ((jobs, SOUTH, north), (jobs, NORTH, all_), (elsewhere, READER, all_)):
        for refused in (
            other.show(export.export_id, principal),
            other.update(export.export_id, {}, None, principal),
            other.start(export.export_id, principal),
            other.cancel(export.export_id, principal),
            other.file(export.export_id, principal.tenant),
        ):
            with pytest.raises(NotFound):
                await refused


async def test_starting_fixes_which_rows_are_in_it(jobs: ExportJobs, store: Store) -> None:
    export = await made(jobs)
    [seq] = await store.append([exchange("a")])
    started = await jobs.start(export.export_id, READER)
    await store.append([exchange("b")])
    assert (started.status, started.last_seq) == (ExportStatus.IN_PROGRESS, seq)
    assert await job_of(store, export.export_id) == started


async def test_one_in_progress_is_neither_changed_nor_started_again(jobs: ExportJobs) -> None:
    export = await made(jobs)
    started = await jobs.start(export.export_id, READER)
    for refused in (
        jobs.start(export.export_id, READER),
        jobs.update(export.export_id, {"model": "m"}, None, READER),
        jobs.file(export.export_id, None),
    ):
        with pytest.raises(Conflict, match=r"in.progress"):
            await refused
    assert await jobs.show(export.export_id, READER) == started


async def test_only_one_in_progress_can_be_cancelled(jobs: ExportJobs) -> None:
    export = await made(jobs)
    with pytest.raises(Conflict, match="it is draft"):
        await jobs.cancel(export.export_id, READER)
    await jobs.start(export.export_id, READER)
    assert (await jobs.cancel(export.export_id, READER)).status is ExportStatus.STOPPED
    with pytest.raises(Conflict, match="it is stopped"):
        await jobs.cancel(export.export_id, READER)
    assert (await jobs.start(export.export_id, READER)).status is ExportStatus.IN_PROGRESS


async def test_cancelling_goes_through_though_a_runner_writes_at_the_same_time(
    jobs: ExportJobs, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = await made(jobs)
    await jobs.start(export.export_id, READER)
    find, interferences = store.find_exports, iter(range(5))

    async def find_and_be_overtaken(*question: object) -> list[Export]:
        found = await find(*question)  # type: ignore[arg-type]
        if next(interferences, None) is not None:
            await store.put_export(replace(found[0], version=found[0].version + 1, rows_done=1))
        return found

    monkeypatch.setattr(store, "find_exports", find_and_be_overtaken)
    stopped = await jobs.cancel(export.export_id, READER)
    assert (stopped.status, stopped.rows_done, stopped.owner) == (ExportStatus.STOPPED, 1, None)


async def test_what_is_described_anew_is_a_draft_without_a_file(
    jobs: ExportJobs, store: Store, files: ExportFiles
) -> None:
    export = await finished(jobs, store, files)
    path = await jobs.file(export.export_id, None)
    await store.append([exchange("a")])
    changed = await jobs.update(export.export_id, {"limit": 5}, None, READER)
    assert (changed.status, changed.filters, changed.columns) == (ExportStatus.DRAFT, {"limit": 5}, ("id",))
    assert (changed.rows_total, changed.rows_done, changed.file) == (1, 0, None)
    assert not path.exists()
    assert (await jobs.update(export.export_id, {}, ["body"], READER)).columns == ("body",)
    with pytest.raises(BadInput, match="nonsense"):
        await jobs.update(export.export_id, {"nonsense": 1}, None, READER)


async def test_a_finished_job_can_be_started_again_and_its_file_goes(
    jobs: ExportJobs, store: Store, files: ExportFiles
) -> None:
    export = await finished(jobs, store, files)
    path = await jobs.file(export.export_id, None)
    started = await jobs.start(export.export_id, READER)
    assert (started.status, started.file, started.rows_done) == (ExportStatus.IN_PROGRESS, None, 0)
    assert not path.exists()


async def test_a_file_is_there_only_of_a_job_that_ended_well(
    jobs: ExportJobs, store: Store, files: ExportFiles
) -> None:
    export = await finished(jobs, store, files)
    assert (await jobs.file(export.export_id, None)).exists()
    files.remove(str(export.file))
    with pytest.raises(NotFound, match="kept for 7 days"):
        await jobs.file(export.export_id, None)
    draft = await made(jobs)
    with pytest.raises(Conflict, match="has no file: it is draft"):
        await jobs.file(draft.export_id, None)
