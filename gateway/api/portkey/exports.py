"""`/v1/logs/exports`: export jobs, their columns, and downloads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.api.portkey import log_object
from gateway.api.portkey.filters import to_filter, to_page
from gateway.api.portkey.log_object import CURRENCY, MODE, UrlResolver
from gateway.api.portkey.schemas import iso_time, json_response
from gateway.datasets.files import ExportLinks
from gateway.datasets.formats import Column, JsonLines, Selection
from gateway.datasets.jobs import ExportJobs
from gateway.models.export import Export, ExportStatus
from gateway.models.principal import Principal, Role
from gateway.web.bodies import abbreviate, read_query_body, validate_body
from gateway.web.endpoint import Endpoint, Parameter
from gateway.web.feedback import has_nul, optional_field

FILTERS = "filters"
"""The field of bodies that holds filters, for complaints."""


def portkey_exporter(url_of: UrlResolver) -> JsonLines:
    """Return what reads the filters of Portkey's exports and writes their lines."""
    return JsonLines(_select, _export_columns(url_of))


def _select(filters: Mapping[str, object]) -> Selection:
    return Selection(to_filter(filters, FILTERS), to_page(filters, FILTERS))


def _export_columns(url_of: UrlResolver) -> Mapping[str, Column]:
    return MappingProxyType(
        {
            "id": Column(lambda logged: logged.record.request_id),
            "trace_id": Column(lambda logged: logged.record.trace_id),
            "created_at": Column(lambda logged: iso_time(logged.record.started_at_us)),
            "request": Column(lambda logged: _embed_body(log_object.request_body(logged)), needs_bodies=True),
            "response": Column(
                lambda logged: _embed_body(log_object.response_body(logged)), needs_bodies=True
            ),
            "is_success": Column(lambda logged: log_object.is_success(logged.record)),
            "ai_org": Column(lambda logged: logged.record.provider),
            "ai_model": Column(lambda logged: logged.record.any_model),
            "req_units": Column(lambda logged: logged.record.prompt_tokens),
            "res_units": Column(lambda logged: logged.record.completion_tokens),
            "total_units": Column(lambda logged: logged.record.total_tokens),
            "request_url": Column(lambda logged: log_object.request_url(logged.record, url_of)),
            "cost": Column(lambda logged: log_object.cost_cents(logged.record)),
            "cost_currency": Column(lambda logged: CURRENCY),
            "response_time": Column(lambda logged: log_object.response_ms(logged.record)),
            "response_status_code": Column(lambda logged: logged.record.status),
            "mode": Column(lambda logged: MODE),
            "config": Column(lambda logged: None),
            "prompt_slug": Column(lambda logged: logged.record.prompt),
            "metadata": Column(lambda logged: dict(logged.record.metadata)),
        }
    )


COLUMNS = tuple(_export_columns(lambda provider, path: None))
"""Names of the columns."""


def _embed_body(body: bytes | None) -> orjson.Fragment | None:
    return None if body is None else orjson.Fragment(body)


MAX_DESCRIPTION = 1000
"""Longest description, in characters."""

_NIL_UUID = str(UUID(int=0))
_FILTERS_SCHEMA = {"type": "object", "additionalProperties": True}
_COLUMNS_SCHEMA = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(COLUMNS)}}


def _check_filters(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"must be an object; got {abbreviate(value)}")
    if has_nul(value):
        raise ValueError("must not hold the character U+0000, neither in keys nor in strings")
    return value


def _check_columns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be an array of one or more columns; got {abbreviate(value)}")
    for name in value:
        if name not in COLUMNS:
            raise ValueError(f"holds {abbreviate(name)}, which is no column; there are {', '.join(COLUMNS)}")
    return tuple(dict.fromkeys(value))


def _check_description(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_DESCRIPTION and "\0" not in value:
        return value
    raise ValueError(f"must be a string of at most {MAX_DESCRIPTION:,} characters; got {abbreviate(value)}")


Filters = Annotated[dict[str, object], BeforeValidator(_check_filters), WithJsonSchema(_FILTERS_SCHEMA)]
Columns = Annotated[tuple[str, ...], BeforeValidator(_check_columns), WithJsonSchema(_COLUMNS_SCHEMA)]
OptionalColumns = Annotated[
    tuple[str, ...] | None,
    optional_field(_check_columns, accepts=Annotated[object, WithJsonSchema(_COLUMNS_SCHEMA)]),
]
Description = Annotated[str | None, optional_field(_check_description, accepts=str)]


class NewExport(BaseModel):
    """What to export."""

    model_config = ConfigDict(frozen=True)

    filters: Filters = Field(description="Which requests; `{}`: all.")
    requested_data: Columns = Field(description="What to write of each.")
    description: Description = None


class ExportChange(BaseModel):
    """What to export instead."""

    model_config = ConfigDict(frozen=True)

    filters: Filters = Field(description="Which requests, instead of the earlier ones.")
    requested_data: OptionalColumns = Field(None, description="What to write of each; null: as before.")


class ExportResponse(BaseModel):
    """A job that was stored."""

    id: str
    total: int = Field(description="How many requests it would write now.")
    object: Literal["export"] = "export"

    @classmethod
    def of(cls, export: Export) -> ExportResponse:
        return cls(id=export.export_id, total=export.rows_total or 0)


class ExportItem(BaseModel):
    """A job. The ids of those who have no UUIDs here are made from their names."""

    id: str
    organisation_id: str = Field(description="Stands for the tenant.")
    filters: dict[str, object]
    requested_data: list[str]
    status: ExportStatus
    description: str
    created_at: str
    last_updated_at: str
    created_by: str = Field(description="Stands for the key that it was made with.")
    workspace_id: str = Field(description="The same as `organisation_id`.")
    total_records: int | None = Field(description="How many requests it writes.")
    rows_done: int = Field(description="How many it has written.")
    progress: float = Field(description="The part of it that is done, from 0 to 1.")
    error: str | None = Field(description="Why it failed.")
    tenant: str | None
    key_name: str | None
    object: Literal["export"] = "export"

    @classmethod
    def of(cls, export: Export) -> ExportItem:
        organisation = _uuid_of_name("tenant", export.tenant)
        return cls(
            id=export.export_id,
            organisation_id=organisation,
            filters=dict(export.filters),
            requested_data=list(export.columns),
            status=export.status,
            description=export.description,
            created_at=iso_time(export.created_at_us),
            last_updated_at=iso_time(export.updated_at_us),
            created_by=_uuid_of_name("key", export.key_name),
            workspace_id=organisation,
            total_records=export.rows_total,
            rows_done=export.rows_done,
            progress=_progress(export),
            error=export.error,
            tenant=export.tenant,
            key_name=export.key_name,
        )


class ExportList(BaseModel):
    """Jobs, the newest first."""

    object: Literal["list"] = "list"
    total: int = Field(description="How many there are.")
    data: list[ExportItem]


class ExportTask(BaseModel):
    """What is being done."""

    message: str
    object: Literal["export"] = "export"


class ExportDownload(BaseModel):
    """Where the file is."""

    signed_url: str = Field(description="Opens the file for an hour, without a key.")


def _uuid_of_name(kind: str, name: str | None) -> str:
    """A UUID that stands for a name: always the same one; all zeros for none (RFC 9562, section 5.5)."""
    return _NIL_UUID if name is None else str(uuid5(NAMESPACE_URL, f"{kind}:{name}"))


def _progress(export: Export) -> float:
    if export.status is ExportStatus.SUCCESS:
        return 1.0
    return min(1.0, export.rows_done / export.rows_total) if export.rows_total else 0.0


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
        new = validate_body(NewExport, await read_query_body(request, self._max_body_bytes))
        export = await self._jobs.create(new.filters, new.requested_data, new.description or "", principal)
        return json_response(ExportResponse.of(export))

    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        exports, total = await self._jobs.find(to_page(request.query, most=MAX_LISTED), principal)
        return json_response(ExportList(total=total, data=[ExportItem.of(export) for export in exports]))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        return json_response(ExportItem.of(await self._jobs.show(_export_id(request), principal)))

    async def _update(self, request: web.Request, principal: Principal) -> web.Response:
        change = validate_body(ExportChange, await read_query_body(request, self._max_body_bytes))
        export = await self._jobs.update(
            _export_id(request), change.filters, change.requested_data, principal
        )
        return json_response(ExportResponse.of(export))

    async def _start(self, request: web.Request, principal: Principal) -> web.Response:
        export = await self._jobs.start(_export_id(request), principal)
        return json_response(ExportTask(message=f"Export {export.export_id} started"))

    async def _cancel(self, request: web.Request, principal: Principal) -> web.Response:
        export = await self._jobs.cancel(_export_id(request), principal)
        return json_response(ExportTask(message=f"Export {export.export_id} cancelled"))

    async def _download(self, request: web.Request, principal: Principal) -> web.Response:
        export_id = _export_id(request)
        await self._jobs.file(export_id, principal.tenant)
        expires_at, signature = await self._links.sign(export_id)
        path = f"{EXPORTS}/{export_id}/file?expires={expires_at}&signature={signature}"
        response = json_response(ExportDownload(signed_url=f"{_origin(request)}{path}"))
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
