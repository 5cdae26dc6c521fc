"""ExportRunner: run started export jobs one at a time, under a lease in the store."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

import structlog

from gateway.datasets.files import ExportFiles
from gateway.datasets.row_writer import Progress, Selection
from gateway.errors import Conflict, GatewayError, StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.export import Export, ExportStatus
from gateway.models.filters import AllOf, AnyOf, Comparison, Op, Page, Sort
from gateway.models.ids import new_id
from gateway.store.base import Store

log = structlog.get_logger("gateway.exports")

# A job whose runner has died is free again after this time.
LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.0
# Jobs started by other processes are found by polling.
LOOK_SECONDS = 1.0

FILE_RETENTION_DAYS = 7
CLEANUP_SECONDS = 3600.0

# Of a checkpoint: the name of the part that it is about.
_PART = "part"

_OLDEST_FIRST = Sort("seq", descending=False)


@dataclass(frozen=True, slots=True)
class _JobResult:
    status: ExportStatus
    file: str | None = None
    error: str | None = None


class Exporter(Protocol):
    """Writes the files of one API's jobs."""

    @property
    def select(self) -> Callable[[Mapping[str, object]], Selection]:
        """Return the requests that a job's filters mean. Raises BadInput."""

    def suffix_of(self, export: Export) -> str: ...

    def is_resumable(self, export: Export) -> bool:
        """Tell whether a job goes on from its checkpoint after a kill, behind what was written until then."""

    async def write_file(self, store: Store, export: Export, file: BinaryIO, progress: Progress) -> None:
        """Write the rows logged before the start of a job, until it is stopped; go on from its checkpoint if it
        has one."""


class ExportRunner:
    """Runs the jobs of dialects in a task of its own."""

    def __init__(self, store: Store, files: ExportFiles, exporters: Mapping[str, Exporter]) -> None:
        self._store = store
        self._files = files
        self._exporters = exporters
        self._name = new_id()
        self._wakeup = asyncio.Event()
        self._running: tuple[str, Progress] | None = None
        self._is_closing = False
        self._cleaned_up_at = -CLEANUP_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="exports")

    def wake(self) -> None:
        self._wakeup.set()

    def interrupt(self, export_id: str) -> None:
        # Runners of other processes notice when they renew the lease.
        if self._running is not None and self._running[0] == export_id:
            self._running[1].stop()

    async def close(self) -> None:
        self._is_closing = True
        if self._running is not None:
            self._running[1].stop()
        self._wakeup.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                await self._remove_old_files()
                if export := await self._claim():
                    await self._run_job(export)
                    continue
            except StoreUnavailable as error:
                log.warning("exports wait for the store", reason=str(error))
            except Exception:
                # The jobs are still in the store and are tried again.
                log.exception("export runner failed")
            await self._wait()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wakeup.wait(), LOOK_SECONDS)
        self._wakeup.clear()

    async def _remove_old_files(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._cleaned_up_at >= CLEANUP_SECONDS:
            self._cleaned_up_at = now
            await asyncio.to_thread(self._files.remove_older, time.time() - FILE_RETENTION_DAYS * 24 * 3600)

    async def _claim(self) -> Export | None:
        is_started = Comparison("status", Op.EQ, ExportStatus.IN_PROGRESS.value)
        lease = "lease_until_us"
        is_free = AnyOf((Comparison(lease, Op.EQ, None), Comparison(lease, Op.LT, now_us())))
        is_known = Comparison("exporter", Op.IN, tuple(self._exporters))
        where = AllOf((is_started, is_free, is_known))
        for export in await self._store.find_exports(where, _OLDEST_FIRST, Page(10), None):
            if claimed := await self._renew(export, _progress_of(export)):
                if _PART not in export.checkpoint:
                    # The runner before left its file; it has lost the lease, so it cannot finish the job with it.
                    self._files.remove(self._file_name(export))
                return claimed
        return None

    async def _run_job(self, export: Export) -> None:
        progress = _progress_of(export)
        progress.is_stopped = self._is_closing
        self._running = export.export_id, progress
        leased: Export | None = export
        writing = asyncio.create_task(self._write(export, progress), name=f"export {export.export_id}")
        try:
            while not writing.done():
                await asyncio.wait({writing}, timeout=RENEW_SECONDS)
                if leased is not None and not writing.done():
                    with contextlib.suppress(StoreUnavailable):
                        leased = await self._renew(leased, progress)
                    if leased is None:
                        progress.stop()
            result = await writing
            if result is not None:
                # Before the job is seen to have ended, so that nobody who saw it finds the part.
                self._remove_parts(export)
            is_paused = await self._store_result(leased, result, progress)
            if not (is_paused and _PART in progress.checkpoint):
                self._remove_parts(export)
            else:
                self._remove_earlier_part(export)
        finally:
            self._running = None

    async def _write(self, export: Export, progress: Progress) -> _JobResult | None:
        name = self._file_name(export)
        try:
            export, file = await asyncio.to_thread(self._open, export, name, progress)
            with file:
                await self._exporters[export.exporter].write_file(self._store, export, file, progress)
                if progress.is_stopped:
                    return None
                await asyncio.to_thread(self._files.finish, file, name)
            return _JobResult(ExportStatus.SUCCESS, file=name)
        except StoreUnavailable:
            raise
        except GatewayError as error:
            return _JobResult(ExportStatus.FAILED, error=str(error))
        except OSError as error:
            log.error("export file not writable", export_id=export.export_id, reason=str(error))
            return _JobResult(ExportStatus.FAILED, error=f"the file cannot be written: {error.strerror}.")
        except Exception:
            # A retry would fail in the same way.
            log.exception("export failed", export_id=export.export_id)
            return _JobResult(ExportStatus.FAILED, error="something went wrong; the gateway's log has more.")

    def _remove_parts(self, export: Export) -> None:
        self._files.remove_part(self._file_name(export))
        self._remove_earlier_part(export)

    def _remove_earlier_part(self, export: Export) -> None:
        earlier = export.checkpoint.get(_PART)
        if earlier is not None and earlier != self._file_name(export):
            self._files.remove_part(str(earlier))

    def _open(self, export: Export, name: str, progress: Progress) -> tuple[Export, BinaryIO]:
        """Open the file of a job behind what its checkpoint says, else empty, and without the checkpoint."""
        progress.part = name
        if self._exporters[export.exporter].is_resumable(export) and _PART in export.checkpoint:
            part, size_bytes = str(export.checkpoint[_PART]), int(str(export.checkpoint["bytes"]))
            if (file := self._files.resume(name, part, size_bytes)) is not None:
                progress.rows_done = int(str(export.checkpoint["rows"]))
                progress.checkpoint = {**export.checkpoint, _PART: name}
                return export, file
        progress.rows_done, progress.checkpoint = 0, {}
        return replace(export, checkpoint={}, rows_done=0), self._files.begin(name)

    def _file_name(self, export: Export) -> str:
        # With the owner's name, so that a runner that lost its lease does not write into the next one's file.
        return f"{export.export_id}.{export.owner}.{self._exporters[export.exporter].suffix_of(export)}"

    async def _store_result(
        self, leased: Export | None, result: _JobResult | None, progress: Progress
    ) -> bool:
        """Store what became of a job; tell whether another runner goes on with it."""
        stored = None
        if leased is not None:
            free = replace(_with_progress(leased, progress), owner=None, lease_until_us=None)
            if result is not None:
                free = replace(free, status=result.status, file=result.file, error=result.error)
            stored = await self._put(free)
        if stored is None and result is not None and result.file is not None:
            self._files.remove(result.file)
        return stored is not None and result is None

    async def _renew(self, export: Export, progress: Progress) -> Export | None:
        """Extend the lease and store the progress; None if the job is lost."""
        until_us = now_us() + int(LEASE_SECONDS * 1_000_000)
        leased = replace(_with_progress(export, progress), owner=self._name, lease_until_us=until_us)
        return await self._put(leased)

    async def _put(self, export: Export) -> Export | None:
        following = replace(export, version=export.version + 1, updated_at_us=now_us())
        try:
            await self._store.put_export(following)
        except Conflict:
            return None
        return following


def _progress_of(export: Export) -> Progress:
    return Progress(export.rows_total, export.rows_done if export.checkpoint else 0, export.checkpoint)


def _with_progress(export: Export, progress: Progress) -> Export:
    return replace(
        export,
        rows_total=progress.rows_total,
        rows_done=progress.rows_done,
        checkpoint=progress.checkpoint,
    )
