"""Portkey's exports of logs: describe a job, start it, look how far it is, fetch its file."""

from __future__ import annotations

from aiohttp import web

from gateway.api.portkey.exports.shapes import (
    ExportChange,
    ExportDownload,
    ExportItem,
    ExportList,
    ExportResponse,
    ExportTask,
    NewExport,
)
from gateway.api.portkey.generations import to_page
from gateway.api.portkey.shapes import reply
from gateway.domain.principal import Principal, Role
from gateway.query.exports import ExportJobs, ExportLinks
from gateway.web.bodies import read_question
from gateway.web.face import Endpoint, Parameter
from gateway.web.validation import checked

EXPORTS = "/v1/logs/exports"
EXPORT = f"{EXPORTS}/{{export_id}}"

MAX_LISTED = 1000
"""Most jobs in one answer."""

_EXPIRES = Parameter("expires", "When the link ends, in seconds since the epoch.", {"type": "integer"})
_SIGNATURE = Parameter("signature", "What proves that the gateway made the link.")
_PAGE = (
    Parameter("workspace_id", "Taken; there are no workspaces here."),
    Parameter("page_size", "Most jobs on a page.", {"type": "integer", "minimum": 1, "maximum": MAX_LISTED}),
    Parameter("current_page", "Which page; the first one is 0.", {"type": "integer", "minimum": 0}),
)


class ExportEndpoints:
    """Handlers of the paths of exports.

    Args:
        max_body_bytes: longest body taken.
    """

    def __init__(self, jobs: ExportJobs, links: ExportLinks, max_body_bytes: int) -> None:
        self._jobs = jobs
        self._links = links
        self._max_body_bytes = max_body_bytes

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="POST", path=EXPORTS, handler=self._create, role=Role.READ,
                summary="Describe an export",
                description="Makes a draft: nothing is written before it is started.",
                body=NewExport, reply=ExportResponse, failures=(400, 413, 503, 504),
            ),
            Endpoint(
                method="GET", path=EXPORTS, handler=self._list, role=Role.READ,
                summary="List exports", description="The newest first.",
                parameters=_PAGE, reply=ExportList, failures=(400, 503),
            ),
            Endpoint(
                method="GET", path=EXPORT, handler=self._show, role=Role.READ,
                summary="See how far an export is",
                reply=ExportItem, failures=(404, 503),
            ),
            Endpoint(
                method="PUT", path=EXPORT, handler=self._update, role=Role.READ,
                summary="Describe an export anew",
                description="Makes it a draft again. One that is in progress has to be cancelled first.",
                body=ExportChange, reply=ExportResponse, failures=(400, 404, 409, 413, 503, 504),
            ),
            Endpoint(
                method="POST", path=f"{EXPORT}/start", handler=self._start, role=Role.READ,
                summary="Start an export",
                description="Writes what is logged now, in the background, whether or not it was done before.",
                reply=ExportTask, failures=(404, 409, 503, 504),
            ),
            Endpoint(
                method="POST", path=f"{EXPORT}/cancel", handler=self._cancel, role=Role.READ,
                summary="Cancel an export",
                description="What it has written is thrown away. It may be started again.",
                reply=ExportTask, failures=(404, 409, 503),
            ),
            Endpoint(
                method="GET", path=f"{EXPORT}/download", handler=self._download, role=Role.READ,
                summary="Get a link to an export's file",
                reply=ExportDownload, failures=(404, 409, 503),
            ),
            Endpoint(
                method="GET", path=f"{EXPORT}/file", handler=self._file, role=None,
                summary="Fetch an export's file",
                description="For whoever holds a link. One JSON object a line; parts of it may be asked for by "
                "`Range`.",
                parameters=(_EXPIRES, _SIGNATURE), failures=(403, 404, 409, 503),
            ),
        )  # fmt: skip

    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        new = checked(NewExport, await read_question(request, self._max_body_bytes))
        export = await self._jobs.create(new.filters, new.requested_data, new.description or "", principal)
        return reply(ExportResponse.of(export))

    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        exports, total = await self._jobs.find(to_page(request.query, most=MAX_LISTED), principal)
        return reply(ExportList(total=total, data=[ExportItem.of(export) for export in exports]))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        return reply(ExportItem.of(await self._jobs.show(_export_id(request), principal)))

    async def _update(self, request: web.Request, principal: Principal) -> web.Response:
        change = checked(ExportChange, await read_question(request, self._max_body_bytes))
        export = await self._jobs.update(
            _export_id(request), change.filters, change.requested_data, principal
        )
        return reply(ExportResponse.of(export))

    async def _start(self, request: web.Request, principal: Principal) -> web.Response:
        export = await self._jobs.start(_export_id(request), principal)
        return reply(ExportTask(message=f"Export {export.export_id} started"))

    async def _cancel(self, request: web.Request, principal: Principal) -> web.Response:
        export = await self._jobs.cancel(_export_id(request), principal)
        return reply(ExportTask(message=f"Export {export.export_id} cancelled"))

    async def _download(self, request: web.Request, principal: Principal) -> web.Response:
        export_id = _export_id(request)
        await self._jobs.file(export_id, principal.tenant)
        expires_at, signature = await self._links.sign(export_id)
        path = f"{EXPORTS}/{export_id}/file?expires={expires_at}&signature={signature}"
        response = reply(ExportDownload(signed_url=f"{_origin(request)}{path}"))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _file(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        export_id = _export_id(request)
        given = (request.query.get(parameter.name, "") for parameter in (_EXPIRES, _SIGNATURE))
        await self._links.check(export_id, *given)
        headers = {
            "Content-Type": "application/jsonl",
            "Content-Disposition": f'attachment; filename="{export_id}.jsonl"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return web.FileResponse(await self._jobs.file(export_id, None), headers=headers)


def _export_id(request: web.Request) -> str:
    return request.match_info["export_id"]


def _origin(request: web.Request) -> str:
    """Where the caller found the gateway, though something else may speak TLS for it."""
    is_behind_tls = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return f"{'https' if is_behind_tls else request.scheme}://{request.host}"
