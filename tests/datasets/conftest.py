"""The parts of exports, joined as the composition root joins them, on a real store and a real folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.datasets.files import ExportFiles
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.models.export import Export
from gateway.models.request import Facts
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange

from .runners import ROWS, Held
from .samples import DIALECT, EXPORTER, READER


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def files(folder: Path) -> ExportFiles:
    return ExportFiles(folder)


@pytest.fixture
async def runner(store: Store, files: ExportFiles) -> AsyncIterator[ExportRunner]:
    """Not started yet; closed with the test."""
    runner = ExportRunner(store, files, {DIALECT: EXPORTER})
    yield runner
    await runner.close()


@pytest.fixture
def jobs(store: Store, files: ExportFiles, runner: ExportRunner) -> ExportJobs:
    return ExportJobs(store, files, runner, DIALECT, EXPORTER)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are short, and pages so small that an export is a matter of several."""
    monkeypatch.setattr("gateway.datasets.runner.LEASE_SECONDS", 1.0)
    monkeypatch.setattr("gateway.datasets.runner.RENEW_SECONDS", 0.02)
    monkeypatch.setattr("gateway.datasets.runner.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("gateway.datasets.row_writer.PAGE_ROWS", 2)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.may_go.set()


@pytest.fixture
async def rows(store: Store) -> None:
    """Ten rows that have been interpreted."""
    seqs = await store.append([exchange(str(number)) for number in range(ROWS)])
    await store.annotate([(seq, Facts()) for seq in seqs], 1)


@pytest.fixture
async def started(jobs: ExportJobs, rows: None) -> Export:
    """A job that waits for a runner."""
    export = await jobs.create({}, ["id"], "", READER)
    return await jobs.start(export.export_id, READER)
