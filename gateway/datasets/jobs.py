"""ExportJobs: create, change, start and cancel the export jobs of a dialect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.datasets.files import ExportFiles
from gateway.datasets.runner import FILE_RETENTION_DAYS, Exporter, ExportRunner
from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.export import Export, ExportStatus
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Op, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import Principal
from gateway.store.base import Store

# The runner changes a job once a second, so that several conflicts in a row are rare.
MAX_ATTEMPTS = 20

_NEWEST_FIRST = Sort("seq", descending=True)


class ExportJobs:
    """Export jobs of one dialect, which calls their id `id_field`, and of the caller's tenant."""

    def __init__(
        self,
        store: Store,
        files: ExportFiles,
        runner: ExportRunner,
        dialect: str,
        exporter: Exporter,
        id_field: str = "export_id",
    ) -> None:
        self._store = store
        self._files = files
        self._runner = runner
        self._dialect = dialect
        self._exporter = exporter
        self._id_field = id_field

    async def create(
        self,
        filters: Mapping[str, object],
        columns: Sequence[str],
        description: str,
        principal: Principal,
        *,
        is_counted: bool = True,
    ) -> Export:
        """Make a draft and count its rows if asked to. Raises BadInput."""
        at_us = now_us()
        export = Export(
            export_id=new_id(),
            tenant=principal.tenant,
            key_name=principal.name,
            exporter=self._dialect,
            description=description,
            filters=filters,
            columns=tuple(columns),
            rows_total=await self._count(filters, principal.tenant) if is_counted else None,
            created_at_us=at_us,
            updated_at_us=at_us,
        )
        await self._store.put_export(export)
        return export

    async def find(self, page: Page, principal: Principal) -> tuple[list[Export], int]:
        own = Comparison("exporter", Op.EQ, self._dialect)
        found = await self._store.find_exports(own, _NEWEST_FIRST, page, principal.tenant)
        return found, await self._store.count_exports(own, principal.tenant)

    async def show(self, export_id: str, principal: Principal | None) -> Export:
        """Return a job; None: for a caller with a link to its file."""
        return await self._find_one(export_id, None if principal is None else principal.tenant)

    async def update(
        self,
        export_id: str,
        filters: Mapping[str, object],
        columns: Sequence[str] | None,
        principal: Principal,
    ) -> Export:
        """Make the job a draft with other filters, and columns if given. Raises BadInput, Conflict."""
        total = await self._count(filters, (await self.show(export_id, principal)).tenant)

        def redraw(export: Export) -> Export:
            return replace(
                _reset_result(export),
                filters=filters,
                columns=export.columns if columns is None else tuple(columns),
                status=ExportStatus.DRAFT,
                rows_total=total,
            )

        return await self._change(export_id, principal, redraw)

    async def start(self, export_id: str, principal: Principal) -> Export:
        """Start a job, or start it again. Raises Conflict if it is in progress."""
        newest = await self._store.find_requests(NO_FILTER, _NEWEST_FIRST, Page(1), None)
        last_seq = newest[0].seq if newest else 0

        def begin(export: Export) -> Export:
            return replace(_reset_result(export), status=ExportStatus.IN_PROGRESS, last_seq=last_seq)

        export = await self._change(export_id, principal, begin)
        self._runner.wake()
        return export

    async def cancel(self, export_id: str, principal: Principal) -> Export:
        """Stop a job and discard its file. Raises Conflict."""

        def stop(export: Export) -> Export:
            if export.status is not ExportStatus.IN_PROGRESS:
                raise Conflict(f"export {export_id} is not in progress: it is {export.status}.")
            return replace(export, status=ExportStatus.STOPPED, owner=None, lease_until_us=None)

        export = await self._change(export_id, principal, stop)
        self._runner.interrupt(export_id)
        return export

    async def file(self, export_id: str, tenant: str | None) -> Path:
        export = await self._find_one(export_id, tenant)
        if export.status is not ExportStatus.SUCCESS:
            raise Conflict(f"export {export_id} has no file: it is {export.status}.")
        if export.file is not None and (path := self._files.path(export.file)).exists():
            return path
        raise NotFound(
            f"the file of export {export_id} is gone; files are kept for {FILE_RETENTION_DAYS} days.",
            hint="Start the export again.",
        )

    async def _count(self, filters: Mapping[str, object], tenant: str | None) -> int:
        selection = self._exporter.select(filters)
        return await self._store.count_requests(selection.where, selection.page, tenant)

    async def _find_one(self, export_id: str, tenant: str | None) -> Export:
        named, own = Comparison("export_id", Op.EQ, export_id), Comparison("exporter", Op.EQ, self._dialect)
        where = AllOf((named, own))
        for export in await self._store.find_exports(where, _NEWEST_FIRST, Page(1), tenant):
            return export
        raise NotFound(f"no export has the id {export_id!r}.", field=self._id_field)

    async def _change(
        self, export_id: str, principal: Principal, changed: Callable[[Export], Export]
    ) -> Export:
        for _ in range(MAX_ATTEMPTS):
            current = await self.show(export_id, principal)
            following = replace(changed(current), version=current.version + 1, updated_at_us=now_us())
            try:
                await self._store.put_export(following)
            except Conflict:
                continue
            if current.file is not None and current.file != following.file:
                self._files.remove(current.file)
            return following
        raise StoreUnavailable(f"export {export_id} changes too often now.")


def _reset_result(export: Export) -> Export:
    if export.status is ExportStatus.IN_PROGRESS:
        raise Conflict(f"export {export.export_id} is in progress.", hint="Cancel it first.")
    return replace(export, rows_done=0, checkpoint={}, file=None, error=None)
