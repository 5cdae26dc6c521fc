"""`/api/v1/export` and `/api/v1/exports`: requests with their feedback as a file, at once or by a job."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gateway.api.native import http_responses as responses
from gateway.api.native.filters import FilterParams
from gateway.api.native.schemas import Time
from gateway.datasets.export_format import ARCHIVE_TYPE
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.format_exporter import job_counts, job_query
from gateway.datasets.registry import FORMATS
from gateway.datasets.services import ExportServices
from gateway.errors import BadInput
from gateway.models.clock import format_rfc3339, now_us
from gateway.models.export import Export, ExportStatus
from gateway.models.filters import Page
from gateway.models.principal import Principal, Role
from gateway.query.filters import REQUEST_FILTERS
from gateway.web.bodies import ScalarInput, as_text, read_json, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema, base_url
from gateway.web.query_params import DIGITS, Parameter, QueryParams

# Most rows in one response.
MAX_ROWS = 100_000
# Most jobs in one response.
MAX_LISTED = 100

EXPORTS = "/api/v1/exports"
EXPORT = f"{EXPORTS}/{{export_id:[^/]+}}"

_FORMAT = f"Format of the file: {', '.join(f'`{each.name}`' for each in FORMATS.values())}."
_OF = "`feedback`: the filters are those of feedback, and the requests are those that it counts for."
_DATASET = (
    "`NAME` or `NAME@VERSION`: requests of a dataset with the feedback they had, in the place of filters."
)
_LIMIT = "Most requests, the oldest first."
_MIN_WEIGHT = "Least sum of weights of the scored feedback on a request."
_MIN_PEOPLE = "Least number of authors of the feedback on a request."
_ALL_IN_TRACE = (
    "Training formats: `true`: feedback on a trace or session stands for each of its requests; else for the one "
    "that was judged."
)


def _option_parameters() -> tuple[Parameter, ...]:
    """Return the options of all formats, each with the formats that have it."""
    found: dict[str, tuple[str, dict[str, Any], list[str]]] = {}
    for each in FORMATS.values():
        for name, schema in each.options.model_json_schema().get("properties", {}).items():
            plain = {key: schema[key] for key in ("type", "enum", "default") if key in schema}
            found.setdefault(name, (schema.get("description", ""), plain, []))[2].append(each.name)
    return tuple(
        Parameter(name, f"Of {', '.join(formats)}: {text}", schema)
        for name, (text, schema, formats) in found.items()
    )


_OPTIONS = _option_parameters()


class ExportParams(FilterParams):
    """Read as text by `ExportQuery`, as the bodies of jobs are."""

    filters = REQUEST_FILTERS

    format: Annotated[str, WithJsonSchema({"type": "string", "enum": list(FORMATS)})] = Field(
        description=_FORMAT
    )
    of: Annotated[str | None, WithJsonSchema({"type": "string", "enum": ["requests", "feedback"]})] = Field(
        None, description=_OF
    )
    dataset: str | None = Field(None, description=_DATASET)
    limit: Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 1})] = Field(
        None, description=_LIMIT
    )
    min_weight: Annotated[str | None, WithJsonSchema({"type": "number", "minimum": 0})] = Field(
        None, description=_MIN_WEIGHT
    )
    min_people: Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 0})] = Field(
        None, description=_MIN_PEOPLE
    )
    all_in_trace: Annotated[str | None, WithJsonSchema({"type": "boolean"})] = Field(
        None, description=_ALL_IN_TRACE
    )

    @classmethod
    def takes(cls, name: str) -> bool:
        # Names of options and of filters of feedback are checked with the format and `of`.
        return True

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        return (*super().parameters(), *_OPTIONS)

    def query(self) -> ExportQuery:
        """Return what is asked for. Raises BadInput."""
        own = {name: text for name in type(self).model_fields if (text := getattr(self, name)) is not None}
        return ExportQuery.read({**own, **(self.model_extra or {})})


_OWN = ("format", "of", "dataset", "limit", "min_weight", "min_people")


class NewExportJob(BaseModel):
    """The requests of a job and the format of its file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(description=_FORMAT)
    filters: dict[str, ScalarInput] = Field(
        {}, description="Filters by name, as the query parameters of `GET /api/v1/export`."
    )
    options: dict[str, ScalarInput] = Field({}, description="Options of the format.")
    of: str | None = Field(None, description=_OF)
    dataset: str | None = Field(None, description=_DATASET)
    limit: int | None = Field(None, ge=1, description=_LIMIT)
    min_weight: float = Field(0, ge=0, description=_MIN_WEIGHT)
    min_people: int = Field(0, ge=0, description=_MIN_PEOPLE)
    all_in_trace: bool = Field(False, description=_ALL_IN_TRACE)
    description: str = Field("", max_length=1000, description="For people.")

    def query(self) -> ExportQuery:
        """Return what is asked for. Raises BadInput."""
        own: dict[str, str | float | None] = {name: getattr(self, name) for name in _OWN}
        own["all_in_trace"] = self.all_in_trace
        for name in self.options:
            if name in own or name in self.filters:
                raise BadInput("is given twice; give it once.", field=f"options.{name}")
        for name in self.filters:
            if name in own:
                raise BadInput("stands beside the filters, not among them.", field=f"filters.{name}")
        given = {**own, **self.filters, **self.options}
        return ExportQuery.read({n: as_text(value) for n, value in given.items() if value is not None})


class ExportJob(Schema):
    """An export job."""

    export_id: str
    format: str
    query: dict[str, str] = Field(description="Filters and options, with times as µs since the epoch.")
    description: str
    status: ExportStatus
    rows_total: int | None = Field(description="Requests that match; null until they are counted.")
    rows_done: int = Field(description="Requests that were read.")
    written: int = Field(description="Rows of the file, as of the last second.")
    left_out: dict[str, int] = Field(description="Requests that are not in the file, by reason.")
    error: str | None = Field(description="Why it failed.")
    created_at: Time
    updated_at: Time
    download_url: str | None = Field(
        description="Opens the file for an hour, without a key; null where there is none."
    )


class ExportJobList(Schema):
    data: list[ExportJob] = Field(description="Newest first.")
    total: int = Field(description="The number of all jobs.")


class ExportJobParams(QueryParams):
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="Most jobs to return."), DIGITS] = 20
    page: Annotated[int, Field(ge=0, le=1_000_000, description="The first page is 0."), DIGITS] = 0


class ExportFileParams(QueryParams):
    expires: Annotated[str | None, WithJsonSchema({"type": "integer"})] = Field(
        None, description="When the link expires, in seconds since the epoch."
    )
    signature: str | None = Field(None, description="Proves that the gateway made the link.")


class ExportEndpoints:
    def __init__(self, exports: ExportServices, max_body_bytes: int) -> None:
        self._services = exports
        self._exports = exports.reader
        self._jobs = exports.jobs
        self._links = exports.links
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "GET",
        "/api/v1/export",
        Role.READ,
        "Export requests with their feedback",
        reply_types=tuple(dict.fromkeys([*(each.media_type for each in FORMATS.values()), ARCHIVE_TYPE])),
        failures=(400, 404, 413, 503, 504),
        example=Example(query={"format": "jsonl", "from": "7d", "rating": "bad"}),
    )
    async def _export(
        self, request: web.Request, principal: Principal, params: ExportParams
    ) -> web.StreamResponse:
        """What is logged now, oldest first, with the filters of the list of requests. More than 100,000 requests
        are refused with 413: let a job write them."""
        query = params.query()
        async with (
            self._exports.open(query, principal.tenant, most_rows=MAX_ROWS) as file,
            aclosing(file.chunks()) as chunks,
        ):
            file_format, options = query.file_format, query.options
            at = format_rfc3339(now_us(), "seconds").replace(":", "")
            name = f"{file_format.name}-{at}.{file_format.suffix_of(options)}"
            return await responses.stream_file(request, name, file_format.media_type_of(options), chunks)

    @Endpoint(
        "POST",
        EXPORTS,
        Role.READ,
        "Start an export job",
        body=NewExportJob,
        failures=(400, 503),
        example=Example(body={"format": "csv", "filters": {"from": "30d", "metadata.team": "support"}}),
    )
    async def _create(self, request: web.Request, principal: Principal) -> ExportJob:
        """Writes what is logged now to a file, in the background. A job whose gateway is killed goes on, for
        `jsonl` and `csv` from where it was."""
        new = validate_body(NewExportJob, await read_json(request, self._max_body_bytes))
        export = await self._services.start_job(new.query(), new.description, principal)
        return await self._reply(request, export)

    @Endpoint(
        "GET",
        EXPORTS,
        Role.READ,
        "List export jobs",
        failures=(400, 503),
        example=Example(query={"limit": "5"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: ExportJobParams
    ) -> ExportJobList:
        """Newest first."""
        found, total = await self._jobs.find(Page(params.limit, params.page * params.limit), principal)
        return ExportJobList(data=[await self._reply(request, export) for export in found], total=total)

    @Endpoint("GET", EXPORT, Role.READ, "Read an export job with its progress", failures=(404, 503))
    async def _show(self, request: web.Request, principal: Principal) -> ExportJob:
        """Once it has succeeded, with a link to its file. Files are kept for 7 days."""
        return await self._reply(request, await self._jobs.show(_export_id(request), principal))

    @Endpoint("POST", f"{EXPORT}/cancel", Role.READ, "Cancel an export job", failures=(404, 409, 503))
    async def _cancel(self, request: web.Request, principal: Principal) -> ExportJob:
        """Discards what it has written."""
        return await self._reply(request, await self._jobs.cancel(_export_id(request), principal))

    @Endpoint(
        "GET", f"{EXPORT}/file", None, "Download an export job's file", failures=(400, 403, 404, 409, 503)
    )
    async def _file(
        self, request: web.Request, principal: Principal, params: ExportFileParams
    ) -> web.StreamResponse:
        """With the link of the job; takes `Range`."""
        export_id = _export_id(request)
        await self._links.check(export_id, params.expires or "", params.signature or "")
        path = await self._jobs.file(export_id, None)
        query = job_query((await self._jobs.show(export_id, None)).filters)
        suffix = query.file_format.suffix_of(query.options)
        headers = {
            **responses.NO_STORE_HEADERS,
            "Content-Type": query.file_format.media_type_of(query.options),
            "Content-Disposition": f'attachment; filename="{export_id}.{suffix}"',
        }
        return web.FileResponse(path, headers=headers)

    async def _reply(self, request: web.Request, export: Export) -> ExportJob:
        url = None
        if export.status is ExportStatus.SUCCESS:
            expires_at, signature = await self._links.sign(export.export_id)
            link = f"{EXPORTS}/{export.export_id}/file?expires={expires_at}&signature={signature}"
            url = f"{base_url(request)}{link}"
        counts = job_counts(export)
        query = {name: str(text) for name, text in export.filters.items()}
        return ExportJob(
            export_id=export.export_id,
            format=query.pop("format"),
            query=query,
            description=export.description,
            status=export.status,
            rows_total=export.rows_total,
            rows_done=export.rows_done,
            written=counts.written,
            left_out=counts.left_out,
            error=export.error,
            created_at=format_rfc3339(export.created_at_us),
            updated_at=format_rfc3339(export.updated_at_us),
            download_url=url,
        )


def _export_id(request: web.Request) -> str:
    return request.match_info["export_id"]
