"""ExportServices: everything that APIs and pages need for exports and datasets."""

from dataclasses import dataclass

from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportReader
from gateway.datasets.files import ExportLinks
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.versions import DatasetService
from gateway.models.export import Export
from gateway.models.principal import Principal


@dataclass(frozen=True, slots=True)
class ExportServices:
    """Exports that are read while they are made, jobs that write files, links to these, and datasets."""

    reader: ExportReader
    jobs: ExportJobs
    links: ExportLinks
    datasets: DatasetService

    async def start_job(self, query: ExportQuery, description: str, principal: Principal) -> Export:
        """Begin a job, which writes what there is now. Raises NotFound."""
        given = query.given
        if query.dataset is not None:
            given = {**given, "dataset": await self.datasets.pin(query.dataset, principal.tenant)}
        export = await self.jobs.create(given, (), description, principal, is_counted=False)
        return await self.jobs.start(export.export_id, principal)
