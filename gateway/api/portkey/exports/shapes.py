"""Portkey's shapes of exports: its bodies and what it answers.

Source: the schemas ExportItem, UpdateExportResponse, ExportListResponse, ExportTaskResponse and
DownloadLogsResponse of https://github.com/Portkey-AI/openapi; its SDKs have `total_records` besides.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.api.portkey.exports.rows import COLUMNS
from gateway.api.portkey.values import iso_time
from gateway.domain.export import Export, ExportStatus
from gateway.web.feedback import has_nul, unless_null
from gateway.web.validation import shown

MAX_DESCRIPTION = 1000
"""Longest description, in characters."""

_NOBODY = str(UUID(int=0))
_FILTERS_SCHEMA = {"type": "object", "additionalProperties": True}
_COLUMNS_SCHEMA = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(COLUMNS)}}


def _filters(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"must be an object; got {shown(value)}")
    if has_nul(value):
        raise ValueError("must not hold the character U+0000, neither in keys nor in strings")
    return value


def _columns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be an array of one or more columns; got {shown(value)}")
    for name in value:
        if name not in COLUMNS:
            raise ValueError(f"holds {shown(name)}, which is no column; there are {', '.join(COLUMNS)}")
    return tuple(dict.fromkeys(value))


def _description(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_DESCRIPTION and "\0" not in value:
        return value
    raise ValueError(f"must be a string of at most {MAX_DESCRIPTION:,} characters; got {shown(value)}")


Filters = Annotated[dict[str, object], BeforeValidator(_filters), WithJsonSchema(_FILTERS_SCHEMA)]
Columns = Annotated[tuple[str, ...], BeforeValidator(_columns), WithJsonSchema(_COLUMNS_SCHEMA)]
OptionalColumns = Annotated[
    tuple[str, ...] | None, unless_null(_columns, takes=Annotated[object, WithJsonSchema(_COLUMNS_SCHEMA)])
]
Description = Annotated[str | None, unless_null(_description, takes=str)]


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
        organisation = _uuid_of("tenant", export.tenant)
        return cls(
            id=export.export_id,
            organisation_id=organisation,
            filters=dict(export.filters),
            requested_data=list(export.columns),
            status=export.status,
            description=export.description,
            created_at=iso_time(export.created_at_us),
            last_updated_at=iso_time(export.updated_at_us),
            created_by=_uuid_of("key", export.key_name),
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


def _uuid_of(kind: str, name: str | None) -> str:
    """A UUID that stands for a name: always the same one; all zeros for none (RFC 9562, section 5.5)."""
    return _NOBODY if name is None else str(uuid5(NAMESPACE_URL, f"{kind}:{name}"))


def _progress(export: Export) -> float:
    if export.status is ExportStatus.SUCCESS:
        return 1.0
    return min(1.0, export.rows_done / export.rows_total) if export.rows_total else 0.0
