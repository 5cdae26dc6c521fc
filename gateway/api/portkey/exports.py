"""`/v1/logs/exports`: export jobs, their columns, and downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.api.portkey import log_object
from gateway.api.portkey.filters import ExportFilters, PageNumber, whole_number
from gateway.api.portkey.log_object import UrlResolver
from gateway.api.portkey.schemas import iso_time
from gateway.datasets.files import ExportLinks
from gateway.datasets.formats import Column, JsonLines
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.row_writer import Selection
from gateway.models.export import Export, ExportStatus
from gateway.models.feedback import Feedback
from gateway.models.filters import Page
from gateway.models.principal import Principal, Role
from gateway.web.bodies import abbreviate, read_query_body, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema, base_url, json_response
from gateway.web.feedback import has_nul, optional_field
from gateway.web.query_params import QueryParams


def portkey_exporter(url_of: UrlResolver) -> JsonLines:
    """Return the exporter of Portkey's log exports.

    Args:
        url_of: returns the URL of a provider for a caller's path.
    """
    return JsonLines(_select, _export_columns(url_of))


def _select(filters: Mapping[str, object]) -> Selection:
    given = ExportFilters.of(filters, "filters")
    return Selection(given.where(), given.page())


COLUMNS = (
    "id", "trace_id", "created_at", "request", "response", "is_success", "ai_org", "ai_model", "req_units",
    "res_units", "total_units", "request_url", "cost", "cost_currency", "response_time", "response_status_code",
    "mode", "config", "prompt_slug", "metadata", "feedback",
)  # fmt: skip


def _export_columns(url_of: UrlResolver) -> Mapping[str, Column]:
    def of_record(name: str) -> Column:
        read = log_object.RECORD_FIELDS[name]
        return Column(lambda logged: read(logged.record, url_of))

    others = {
        "request": Column(lambda logged: _embed_body(log_object.request_body(logged)), needs_bodies=True),
        "response": Column(lambda logged: _embed_body(log_object.response_body(logged)), needs_bodies=True),
        "config": Column(lambda logged: None),
        "metadata": Column(lambda logged: dict(logged.record.metadata)),
        # Beyond the columns of their document; written only where it is asked for.
        "feedback": Column(lambda logged: list(map(_feedback_entry, logged.feedback)), needs_feedback=True),
    }
    return {name: others.get(name) or of_record(name) for name in COLUMNS}


def _feedback_entry(entry: Feedback) -> dict[str, object]:
    return {
        "id": entry.feedback_id,
        "value": entry.value,
        "weight": entry.weight,
        "metadata": dict(entry.metadata),
        "comment": entry.comment,
        "label": entry.label,
        "via": entry.target.value,
        "created_at": iso_time(entry.created_at_us),
    }


def _embed_body(body: bytes | None) -> orjson.Fragment | None:
    return None if body is None else orjson.Fragment(body)


MAX_DESCRIPTION = 1000

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
            known = ", ".join(COLUMNS)
            raise ValueError(f"holds {abbreviate(name)}, which is not a column; allowed: {known}")
    return tuple(dict.fromkeys(value))


def _check_description(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_DESCRIPTION and "\0" not in value:
        return value
    raise ValueError(f"must be a string of at most {MAX_DESCRIPTION:,} characters; got {abbreviate(value)}")


Filters = Annotated[dict[str, object], BeforeValidator(_check_filters), WithJsonSchema(_FILTERS_SCHEMA)]
Columns = Annotated[tuple[str, ...], BeforeValidator(_check_columns), WithJsonSchema(_COLUMNS_SCHEMA)]
_ColumnList = Annotated[object, WithJsonSchema(_COLUMNS_SCHEMA)]
OptionalColumns = Annotated[tuple[str, ...] | None, optional_field(_check_columns, accepts=_ColumnList)]
Description = Annotated[str | None, optional_field(_check_description, accepts=str)]


class NewExport(Schema):
    """The requests and columns of an export."""

    filters: Filters = Field(description="Filters of the requests; `{}`: all.")
    requested_data: Columns = Field(description="Columns to write.")
    description: Description = None


class ExportChange(Schema):
    """New requests and columns of an export."""

    filters: Filters = Field(description="Filters of the requests, instead of the earlier ones.")
    requested_data: OptionalColumns = Field(None, description="Columns to write; null: as before.")


class ExportResponse(BaseModel):
    """A stored export job."""

    id: str
    total: int = Field(description="The number of requests that it would write now.")
    object: Literal["export"] = "export"

    @classmethod
    def of(cls, export: Export) -> ExportResponse:
        return cls(id=export.export_id, total=export.rows_total or 0)


class ExportItem(BaseModel):
    """An export job. Ids of tenants and keys, which have no UUIDs, are derived from their names."""

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
    total_records: int | None = Field(description="The number of requests that it writes.")
    rows_done: int = Field(description="The number that it has written.")
    progress: float = Field(description="The completed share, from 0 to 1.")
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
    """Export jobs, newest first."""

    object: Literal["list"] = "list"
    total: int = Field(description="The number of all jobs.")
    data: list[ExportItem]


class ExportTask(BaseModel):
    """The result of a command to a job."""

    message: str
    object: Literal["export"] = "export"


class ExportDownload(BaseModel):
    """The link to the file."""

    signed_url: str = Field(description="Opens the file for an hour, without a key.")


def _uuid_of_name(kind: str, name: str | None) -> str:
    # The same name always gets the same UUID (RFC 9562, section 5.5).
    return _NIL_UUID if name is None else str(uuid5(NAMESPACE_URL, f"{kind}:{name}"))


def _progress(export: Export) -> float:
    if export.status is ExportStatus.SUCCESS:
        return 1.0
    return min(1.0, export.rows_done / export.rows_total) if export.rows_total else 0.0


EXPORTS = "/v1/logs/exports"
EXPORT = f"{EXPORTS}/{{export_id}}"

# Most jobs in one response.
MAX_LISTED = 1000


class ExportListParams(QueryParams):
    model_config = ConfigDict(extra="ignore")

    workspace_id: str | None = Field(None, description="Ignored: there are no workspaces.")
    page_size: Annotated[int | None, whole_number(1, MAX_LISTED, minimum=1, maximum=MAX_LISTED)] = Field(
        None, description="Most jobs on a page."
    )
    current_page: PageNumber | None = Field(None, description="Page number; the first page is 0.")


class ExportFileParams(QueryParams):
    model_config = ConfigDict(extra="ignore")

    expires: Annotated[str | None, WithJsonSchema({"type": "integer"})] = Field(
        None, description="When the link expires, in seconds since the epoch."
    )
    signature: str | None = Field(None, description="Proves that the gateway made the link.")


class ExportEndpoints:
    def __init__(self, jobs: ExportJobs, links: ExportLinks, max_body_bytes: int) -> None:
        self._jobs = jobs
        self._links = links
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        EXPORTS,
        Role.READ,
        "Create an export",
        body=NewExport,
        failures=(400, 504),
        example=Example(
            body={
                "filters": {
                    "time_of_generation_min": "2026-01-01T00:00:00Z",
                    "time_of_generation_max": "2026-02-01T00:00:00Z",
                },
                "requested_data": ["id", "trace_id", "created_at", "request", "response"],
            }
        ),
    )
    async def _create(self, request: web.Request, principal: Principal) -> ExportResponse:
        """Makes a draft: nothing is written before it is started."""
        new = validate_body(NewExport, await read_query_body(request, self._max_body_bytes))
        export = await self._jobs.create(new.filters, new.requested_data, new.description or "", principal)
        return ExportResponse.of(export)

    @Endpoint(
        "GET",
        EXPORTS,
        Role.READ,
        "List exports",
        failures=(400, 503),
        example=Example(query={"page_size": "2"}),
    )
    async def _list(self, request: web.Request, principal: Principal, params: ExportListParams) -> ExportList:
        """Newest first."""
        size = params.page_size or MAX_LISTED
        exports, total = await self._jobs.find(Page(size, (params.current_page or 0) * size), principal)
        return ExportList(total=total, data=[ExportItem.of(export) for export in exports])

    @Endpoint("GET", EXPORT, Role.READ, "Read an export with its progress", failures=(404, 503))
    async def _show(self, request: web.Request, principal: Principal) -> ExportItem:
        return ExportItem.of(await self._jobs.show(_export_id(request), principal))

    @Endpoint(
        "PUT",
        EXPORT,
        Role.READ,
        "Change an export",
        body=ExportChange,
        failures=(400, 404, 409, 504),
        example=Example(
            body={"filters": {"ai_model": "gpt-4o-mini"}, "requested_data": ["id", "trace_id", "cost"]}
        ),
    )
    async def _update(self, request: web.Request, principal: Principal) -> ExportResponse:
        """Makes it a draft again. An export in progress has to be cancelled first."""
        change = validate_body(ExportChange, await read_query_body(request, self._max_body_bytes))
        export_id, columns = _export_id(request), change.requested_data
        return ExportResponse.of(await self._jobs.update(export_id, change.filters, columns, principal))

    @Endpoint("POST", f"{EXPORT}/start", Role.READ, "Start an export", failures=(404, 409, 503, 504))
    async def _start(self, request: web.Request, principal: Principal) -> ExportTask:
        """Writes what is logged now, in the background, whether or not it was written before."""
        export = await self._jobs.start(_export_id(request), principal)
        return ExportTask(message=f"Export {export.export_id} started")

    @Endpoint("POST", f"{EXPORT}/cancel", Role.READ, "Cancel an export", failures=(404, 409, 503))
    async def _cancel(self, request: web.Request, principal: Principal) -> ExportTask:
        """Discards what it has written. It may be started again."""
        export = await self._jobs.cancel(_export_id(request), principal)
        return ExportTask(message=f"Export {export.export_id} cancelled")

    @Endpoint(
        "GET",
        f"{EXPORT}/download",
        Role.READ,
        "Get a link to an export's file",
        reply=ExportDownload,
        failures=(404, 409, 503),
    )
    async def _download(self, request: web.Request, principal: Principal) -> web.Response:
        export_id = _export_id(request)
        await self._jobs.file(export_id, principal.tenant)
        expires_at, signature = await self._links.sign(export_id)
        path = f"{EXPORTS}/{export_id}/file?expires={expires_at}&signature={signature}"
        response = json_response(ExportDownload(signed_url=f"{base_url(request)}{path}"))
        response.headers["Cache-Control"] = "no-store"
        return response

    @Endpoint("GET", f"{EXPORT}/file", None, "Download an export's file", failures=(403, 404, 409, 503))
    async def _file(
        self, request: web.Request, principal: Principal, params: ExportFileParams
    ) -> web.StreamResponse:
        """With a link from `download`. One JSON object a line; takes `Range`."""
        export_id = _export_id(request)
        await self._links.check(export_id, params.expires or "", params.signature or "")
        headers = {
            "Content-Type": "application/jsonl",
            "Content-Disposition": f'attachment; filename="{export_id}.jsonl"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return web.FileResponse(await self._jobs.file(export_id, None), headers=headers)


def _export_id(request: web.Request) -> str:
    return request.match_info["export_id"]
