"""Runners at work, an exporter that can be held, and waiting for what comes of jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.datasets.files import ExportFiles
from gateway.datasets.formats import Column, JsonLines
from gateway.datasets.runner import ExportRunner
from gateway.models.export import Export, ExportStatus
from gateway.query.requests import LoggedRequest
from gateway.store.base import Store

from .samples import DIALECT, EXPORTER, job_of, select

ROWS = 10
IDS = [{"id": str(number)} for number in range(ROWS)]
"""What a file holds that has all of them."""


@dataclass
class Held:
    """A file format that stops in the middle until it is let go; `began` counts how often it was started."""

    may_go: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None
    began: int = 0

    @property
    def file_format(self) -> JsonLines:
        return JsonLines(select, {"id": Column(self._read_id)})

    def _read_id(self, logged: LoggedRequest) -> object:
        self.began += logged.record.request_id == "0"
        if logged.record.request_id == "5":
            assert self.may_go.wait(20)
            if self.failure is not None:
                raise self.failure
        return logged.record.request_id


@asynccontextmanager
async def running(
    store: Store, files: ExportFiles, file_format: JsonLines | Held = EXPORTER
) -> AsyncIterator[ExportRunner]:
    used = file_format.file_format if isinstance(file_format, Held) else file_format
    runner = ExportRunner(store, files, {DIALECT: used})
    runner.start()
    try:
        yield runner
    finally:
        await runner.close()


async def ended(store: Store, export: Export) -> Export:
    """A job once it is no longer in progress."""
    return await until(store, export, lambda job: job.status is not ExportStatus.IN_PROGRESS)


async def in_the_middle(store: Store, export: Export) -> Export:
    """A job once a runner says that it has written some of it."""
    return await until(store, export, lambda job: job.rows_done > 0)


async def until(store: Store, export: Export, condition: Any) -> Export:
    for _ in range(2000):
        job = await job_of(store, export.export_id)
        if condition(job):
            return job
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


async def put(store: Store, export: Export, **changes: Any) -> None:
    """Change a job as another process would, whatever its runner writes meanwhile."""
    current = await job_of(store, export.export_id)
    await store.put_export(replace(current, version=current.version + 1, **changes))


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
