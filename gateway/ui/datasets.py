"""Pages of datasets: saved filters, their versions, what differs between two, and what a trainer would read."""

from urllib.parse import quote

from aiohttp import web

from gateway.datasets.dataset_preview import PREVIEW_FORMATS, Preview, preview_export
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.services import ExportServices
from gateway.datasets.versions import export_filters, may_delete
from gateway.errors import BadInput, GatewayError
from gateway.models.datasets import ADDED_TO, Dataset, DatasetDiff, DatasetVersion
from gateway.models.filters import Page
from gateway.models.principal import Principal, Role
from gateway.ui.filters import describe_filters, list_url, read_number
from gateway.ui.page import Pages
from gateway.ui.webhooks import read_filters
from gateway.web.endpoint import Endpoint

PAGE = "/ui/datasets"
DATASET = f"{PAGE}/{{name:[^/]+}}"

# Most datasets on the page.
MAX_LISTED = 200
# Ids of each kind that a comparison of versions shows.
MAX_IDS = 20


class DatasetPages:
    def __init__(self, pages: Pages, exports: ExportServices) -> None:
        self._pages = pages
        self._datasets = exports.datasets
        self._reader = exports.reader

    @Endpoint("GET", PAGE, Role.READ, "The page of datasets", failures=(503,))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        found = await self._datasets.find_all(Page(MAX_LISTED), principal.tenant)
        rows = [(dataset, _describe(dataset), versions) for dataset, versions in found]
        values = {"rows": rows, "can_change": principal.has_role(Role.REVIEW)}
        return await self._pages.render(request, principal, "datasets.html", values)

    @Endpoint("GET", f"{PAGE}/new", Role.REVIEW, "The form of a new dataset", failures=(503,))
    async def _new(self, request: web.Request, principal: Principal) -> web.Response:
        """Filters in the address are those of a list that it is made from."""
        lines = "\n".join(f"{name}={text}" for name, text in request.query.items())
        return await self._pages.render(request, principal, "dataset_new.html", {"filters": lines})

    @Endpoint("POST", PAGE, Role.REVIEW, "Save a dataset on a page", failures=(400, 409))
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        fields = await self._pages.read_form(request, principal)
        name = fields.get("name", "").strip()
        filters = read_filters(fields.get("filters", ""))
        description = fields.get("description", "").strip()
        await self._datasets.create(name, filters, description, principal, is_collecting="collect" in fields)
        raise web.HTTPSeeOther(f"{PAGE}/{quote(name)}")

    @Endpoint("GET", DATASET, Role.READ, "The page of a dataset", failures=(400, 404, 409, 413, 503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        """`format` and `version` choose the preview; `version` and `against` what is compared."""
        dataset = await self._find(request, principal)
        versions = await self._datasets.versions(dataset)
        file_format = request.query.get("format", "jsonl")
        version = _read_version(request, "version")
        values = {
            "dataset": dataset,
            "filters": _describe(dataset),
            "list_url": list_url(dataset.filters),
            "versions": versions,
            "version": version,
            "against": _read_version(request, "against"),
            "comparison": await self._compare(request, dataset, versions, principal),
            "format": file_format,
            "formats": PREVIEW_FORMATS,
            "can_change": principal.has_role(Role.REVIEW),
            "can_delete": may_delete(dataset, principal),
            "preview": None,
            "problem": None,
        }
        try:
            values["preview"] = await self._preview(dataset, version, file_format, principal)
        except GatewayError as error:
            values["problem"] = error
        return await self._pages.render(request, principal, "dataset.html", values)

    @Endpoint("POST", DATASET, Role.REVIEW, "Change a dataset on a page", failures=(400, 403, 404, 409, 503))
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the buttons of that page: `freeze`, `delete`."""
        fields = await self._pages.read_form(request, principal)
        dataset = await self._find(request, principal)
        if fields.get("action") == "freeze":
            version = await self._datasets.freeze(dataset.dataset_id, principal)
            raise web.HTTPSeeOther(f"{PAGE}/{quote(dataset.name)}?version={version.number}")
        if fields.get("action") != "delete":
            raise BadInput("must be freeze or delete.", field="action")
        await self._datasets.delete(dataset.dataset_id, principal)
        raise web.HTTPSeeOther(PAGE)

    async def _find(self, request: web.Request, principal: Principal) -> Dataset:
        return await self._datasets.find(request.match_info["name"], principal.tenant)

    async def _preview(
        self, dataset: Dataset, version: int | None, file_format: str, principal: Principal
    ) -> Preview:
        query = ExportQuery.read({"format": file_format, **export_filters(dataset, version)})
        return await preview_export(self._reader, query, principal.tenant)

    async def _compare(
        self,
        request: web.Request,
        dataset: Dataset,
        versions: list[DatasetVersion],
        principal: Principal,
    ) -> tuple[DatasetDiff, dict[str, list[str]]] | None:
        version, against = _read_version(request, "version"), _read_version(request, "against")
        if version is None or against is None or not versions:
            return None
        diff = await self._datasets.diff(dataset, version, against)
        shown = {"added": diff.added, "removed": diff.removed, "changed": diff.changed}
        ids = {
            name: await self._datasets.request_ids(seqs[:MAX_IDS], principal.tenant)
            for name, seqs in shown.items()
        }
        return diff, ids


def _describe(dataset: Dataset) -> str:
    if not dataset.is_collecting:
        return describe_filters(dataset.filters)
    others = {name: text for name, text in dataset.filters.items() if name != ADDED_TO}
    return describe_filters(others, "requests that rules add")


def _read_version(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    return read_number(text) if text else None
