"""Pages of export jobs: what was asked for, how far each is, its file, and the form of a new one."""

from dataclasses import dataclass

from aiohttp import web

from gateway.datasets.export_format import RESERVED_NAMES, ExportCounts
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.format_exporter import job_counts
from gateway.datasets.registry import FORMATS
from gateway.datasets.services import ExportServices
from gateway.errors import BadInput
from gateway.models.datasets import Dataset, split_dataset_name
from gateway.models.export import Export
from gateway.models.filters import Page
from gateway.models.principal import Principal, Role
from gateway.ui.filters import OF, describe_filters, list_url, read_number
from gateway.ui.page import Pages
from gateway.ui.webhooks import read_filters
from gateway.web.endpoint import Endpoint

PAGE = "/ui/exports"
JOB = f"{PAGE}/{{export_id:[^/]+}}"
PAGE_ROWS = 50
_NOTHING = (("min_weight", "0"), ("min_people", "0"), ("all_in_trace", "false"))


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the page shows it: `subject` in words, and where it leads."""

    export: Export
    format: str
    subject: str
    url: str
    options: str
    counts: ExportCounts


class ExportPages:
    def __init__(self, pages: Pages, exports: ExportServices) -> None:
        self._pages = pages
        self._exports = exports
        self._jobs = exports.jobs

    @Endpoint("GET", PAGE, Role.READ, "The page of export jobs", failures=(400, 503))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        number = read_number(request.query.get("page", "0"), "page")
        found, total = await self._jobs.find(Page(PAGE_ROWS, number * PAGE_ROWS), principal)
        datasets: dict[str, Dataset] = {}
        if any("dataset" in export.filters for export in found):
            listed = await self._exports.datasets.find_all(Page(10_000), principal.tenant)
            datasets = {dataset.dataset_id: dataset for dataset, _ in listed}
        values = {
            "jobs": [_view(export, datasets) for export in found],
            "number": number,
            "has_more": total > (number + 1) * PAGE_ROWS,
        }
        return await self._pages.render(request, principal, "exports.html", values)

    @Endpoint("GET", f"{PAGE}/new", Role.READ, "The form of a new export job", failures=(503,))
    async def _new(self, request: web.Request, principal: Principal) -> web.Response:
        """The address has the filters of the list, or `dataset` and the version, that it is about."""
        given = {name: text for name, text in request.query.items() if name not in ("format", "dataset")}
        values = {
            "dataset": request.query.get("dataset"),
            "format": request.query.get("format"),
            "subject": describe_filters(given),
            "filters": "\n".join(f"{name}={text}" for name, text in given.items()),
        }
        return await self._pages.render(request, principal, "export_new.html", values)

    @Endpoint("POST", PAGE, Role.READ, "Start an export job on a page", failures=(400, 404))
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        fields = await self._pages.read_form(request, principal)
        filters, options = read_filters(fields.get("filters", "")), read_filters(fields.get("options", ""))
        for name in options.keys() & filters.keys():
            raise BadInput("is given twice; give it once.", field=name)
        own = {name: text for name in ("format", "dataset") if (text := fields.get(name, "").strip())}
        query = ExportQuery.read({**filters, **options, **own})
        await self._exports.start_job(query, fields.get("description", "").strip(), principal)
        raise web.HTTPSeeOther(PAGE)

    @Endpoint("POST", JOB, Role.READ, "Change an export job on a page", failures=(400, 404, 409))
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the buttons of that page: `cancel`, `start`."""
        fields = await self._pages.read_form(request, principal)
        export_id = request.match_info["export_id"]
        if fields.get("action") == "cancel":
            await self._jobs.cancel(export_id, principal)
        elif fields.get("action") == "start":
            await self._jobs.start(export_id, principal)
        else:
            raise BadInput("must be cancel or start.", field="action")
        raise web.HTTPSeeOther(PAGE)

    @Endpoint("GET", f"{JOB}/file", Role.READ, "The file of an export job", failures=(404, 409, 503))
    async def _file(self, request: web.Request, principal: Principal) -> web.Response:
        """Leads to a new link, so that those of a page that stays open never expire."""
        export_id = request.match_info["export_id"]
        await self._jobs.file(export_id, principal.tenant)
        expires_at, signature = await self._exports.links.sign(export_id)
        link = f"/api/v1/exports/{export_id}/file?expires={expires_at}&signature={signature}"
        raise web.HTTPSeeOther(link, headers={"Cache-Control": "no-store"})


def _view(export: Export, datasets: dict[str, Dataset]) -> JobView:
    given = {name: str(text) for name, text in export.filters.items()}
    file_format = given.pop("format", "")
    known = FORMATS.get(file_format)
    others = {*RESERVED_NAMES - {OF}, *(known.options.model_fields if known else ())}
    filters = {name: text for name, text in given.items() if name not in others}
    options = [
        f"{name}={_abbreviate(text)}"
        for name, text in given.items()
        # What the API gives to each job means nothing.
        if name in others - {"dataset"} and (name, text) not in _NOTHING
    ]
    if "dataset" in given:
        # Pinned by its id when the job began.
        dataset_id, version = split_dataset_name(given["dataset"])
        name = datasets[dataset_id].name if dataset_id in datasets else "that was deleted"
        subject, url = f"dataset {name}, version {version}", f"/ui/datasets/{dataset_id}?version={version}"
    else:
        subject, url = describe_filters(filters), list_url(filters)
    return JobView(export, file_format, subject, url, ", ".join(options), job_counts(export))


def _abbreviate(text: str) -> str:
    # An option may hold a whole file.
    return text if len(text) <= 60 else f"{text[:59]}…"
