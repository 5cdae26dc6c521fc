"""`/api/v1/datasets`: filters saved under a name, their versions, what differs between two, and previews."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gateway.api.native.schemas import Time
from gateway.datasets.dataset_preview import PREVIEW_FORMATS, PREVIEW_LINES, PREVIEW_REQUESTS, preview_export
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.services import ExportServices
from gateway.datasets.versions import MAX_DESCRIPTION, export_filters
from gateway.errors import BadInput
from gateway.models.clock import format_rfc3339
from gateway.models.datasets import Dataset, DatasetVersion
from gateway.models.filters import Page
from gateway.models.principal import Principal, Role
from gateway.web.bodies import ScalarInput, as_text, read_json, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema
from gateway.web.query_params import DIGITS, QueryParams

DATASETS = "/api/v1/datasets"
DATASET = f"{DATASETS}/{{name:[^/]+}}"

# Most datasets in one response.
MAX_LISTED = 500
# Most request ids of each kind that a comparison shows.
MAX_SHOWN = 1_000

_FILTERS = (
    "Filters of requests by name, as the query parameters of `GET /api/v1/requests`; with `of` as `feedback` those "
    "of feedback. Times such as `7d` mean other days in each version."
)


class NewDataset(BaseModel):
    """A filter and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Letters, digits, dots, hyphens and underscores, at most 64.")
    filters: dict[str, ScalarInput] = Field({}, description=_FILTERS)
    collect: bool = Field(False, description="Hold what rules add to it; `filters` narrow that.")
    description: str = Field("", max_length=MAX_DESCRIPTION, description="For people.")


class DatasetChange(BaseModel):
    """What later versions hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filters: dict[str, ScalarInput] | None = Field(None, description=_FILTERS)
    description: str | None = Field(None, max_length=MAX_DESCRIPTION)


class VersionShape(Schema):
    """What a dataset held at one time."""

    version: int
    filters: dict[str, str] = Field(description="With times as µs since the epoch.")
    rows: int = Field(description="Requests; some may have been deleted since.")
    feedback: int = Field(description="Entries on them.")
    created_by: str | None
    frozen_at: Time

    @classmethod
    def of(cls, version: DatasetVersion) -> VersionShape:
        return cls(
            version=version.number, filters=dict(version.filters), rows=version.rows, feedback=version.feedback,
            created_by=version.created_by, frozen_at=format_rfc3339(version.frozen_at_us),
        )  # fmt: skip


class DatasetShape(Schema):
    """A dataset with its versions."""

    dataset_id: str
    name: str
    tenant: str | None
    description: str
    filters: dict[str, str]
    created_by: str | None
    created_at: Time
    updated_at: Time
    versions: list[VersionShape] = Field(description="The latest first.")

    @classmethod
    def of(cls, dataset: Dataset, versions: list[DatasetVersion]) -> DatasetShape:
        return cls(
            dataset_id=dataset.dataset_id, name=dataset.name, tenant=dataset.tenant,
            description=dataset.description, filters=dict(dataset.filters), created_by=dataset.created_by,
            created_at=format_rfc3339(dataset.created_at_us), updated_at=format_rfc3339(dataset.updated_at_us),
            versions=list(map(VersionShape.of, versions)),
        )  # fmt: skip


class DatasetList(Schema):
    data: list[DatasetShape] = Field(description="By name.")


class DatasetDeleted(Schema):
    deleted: bool


class DiffParams(QueryParams):
    version: Annotated[int, Field(ge=1, description="The later version."), DIGITS]
    against: Annotated[int, Field(ge=1, description="The version that it is compared with."), DIGITS]


class DiffReply(Schema):
    """Requests that only one of two versions has, and those whose feedback differs."""

    added: int
    removed: int
    changed: int = Field(description="Requests of both with other feedback.")
    unchanged: int
    added_ids: list[str] = Field(description=f"Request ids, at most {MAX_SHOWN:,}, as in the next two.")
    removed_ids: list[str]
    changed_ids: list[str]


class PreviewParams(QueryParams):
    format: Annotated[str, WithJsonSchema({"type": "string", "enum": list(PREVIEW_FORMATS)})] = Field(
        "sft", description="Format of the lines."
    )
    version: Annotated[int | None, Field(ge=1), DIGITS] = Field(
        None, description="Absent: what the filters find now."
    )


class PreviewReply(Schema):
    lines: list[str] = Field(description=f"At most {PREVIEW_LINES}.")
    requests: int = Field(description=f"Requests that were read for them, at most {PREVIEW_REQUESTS:,}.")
    left_out: dict[str, int] = Field(description="Those that are in no line, by reason.")


class DatasetEndpoints:
    def __init__(self, exports: ExportServices, max_body_bytes: int) -> None:
        self._datasets = exports.datasets
        self._exports = exports.reader
        self._max_body_bytes = max_body_bytes

    @Endpoint("GET", DATASETS, Role.READ, "List datasets", failures=(503,), example=Example())
    async def _list(self, request: web.Request, principal: Principal) -> DatasetList:
        """Those of the caller's tenant, with their versions."""
        found = await self._datasets.find_all(Page(MAX_LISTED), principal.tenant)
        return DatasetList(data=[DatasetShape.of(dataset, versions) for dataset, versions in found])

    @Endpoint(
        "POST",
        DATASETS,
        Role.REVIEW,
        "Save a filter as a dataset",
        body=NewDataset,
        failures=(400, 409, 503),
        example=Example(body={"name": "disliked", "filters": {"rating": "bad", "from": "30d"}}),
    )
    async def _create(self, request: web.Request, principal: Principal) -> DatasetShape:
        """Its name is unique within the tenant. It has no version until one is frozen."""
        given = validate_body(NewDataset, await read_json(request, self._max_body_bytes))
        dataset = await self._datasets.create(
            given.name, _texts(given.filters), given.description, principal, is_collecting=given.collect
        )
        return DatasetShape.of(dataset, [])

    @Endpoint(
        "GET", DATASET, Role.READ, "Read a dataset", failures=(404, 409, 503),
        example=Example(path={"name": "disliked"}),
    )  # fmt: skip
    async def _show(self, request: web.Request, principal: Principal) -> DatasetShape:
        """By its name or its id."""
        return await self._shape(await self._find(request, principal))

    @Endpoint(
        "PATCH",
        DATASET,
        Role.REVIEW,
        "Change a dataset",
        body=DatasetChange,
        failures=(400, 404, 409, 503),
        example=Example(path={"name": "disliked"}, body={"description": "For the weekly look."}),
    )
    async def _change(self, request: web.Request, principal: Principal) -> DatasetShape:
        """Filters and description; versions that there are stay as they are."""
        given = validate_body(DatasetChange, await read_json(request, self._max_body_bytes))
        filters = None if given.filters is None else _texts(given.filters)
        name = request.match_info["name"]
        changed = await self._datasets.update(name, principal, filters=filters, description=given.description)
        return await self._shape(changed)

    @Endpoint(
        "POST", f"{DATASET}/versions", Role.REVIEW, "Freeze a version of a dataset",
        failures=(400, 404, 409, 503), example=Example(path={"name": "disliked"}),
    )  # fmt: skip
    async def _freeze(self, request: web.Request, principal: Principal) -> VersionShape:
        """Holds the requests that match now, at most a million, with their feedback as it is now. Exports of a
        version never gain any; what is withdrawn or erased later is left out."""
        return VersionShape.of(await self._datasets.freeze(request.match_info["name"], principal))

    @Endpoint(
        "GET",
        f"{DATASET}/diff",
        Role.READ,
        "Compare two versions of a dataset",
        failures=(400, 404, 409, 503),
        example=Example(path={"name": "disliked"}, query={"version": "1", "against": "1"}),
    )
    async def _diff(self, request: web.Request, principal: Principal, params: DiffParams) -> DiffReply:
        """Which requests came and went, and whose feedback changed."""
        dataset = await self._find(request, principal)
        found = await self._datasets.diff(dataset, params.version, params.against)
        added, removed, changed = [
            await self._datasets.request_ids(seqs[:MAX_SHOWN], principal.tenant)
            for seqs in (found.added, found.removed, found.changed)
        ]
        return DiffReply(
            added=len(found.added), removed=len(found.removed), changed=len(found.changed),
            unchanged=found.unchanged, added_ids=added, removed_ids=removed, changed_ids=changed,
        )  # fmt: skip

    @Endpoint(
        "GET",
        f"{DATASET}/preview",
        Role.READ,
        "Preview a dataset in a format",
        failures=(400, 404, 409, 413, 503, 504),
        example=Example(path={"name": "disliked"}, query={"format": "jsonl"}),
    )
    async def _preview(
        self, request: web.Request, principal: Principal, params: PreviewParams
    ) -> PreviewReply:
        """The first lines of a file, the oldest requests first, as a trainer would read them."""
        dataset = await self._find(request, principal)
        query = ExportQuery.read({"format": params.format, **export_filters(dataset, params.version)})
        found = await preview_export(self._exports, query, principal.tenant)
        return PreviewReply(
            lines=list(found.lines), requests=found.requests, left_out=dict(found.counts.left_out)
        )

    @Endpoint(
        "DELETE", DATASET, Role.REVIEW, "Delete a dataset", failures=(403, 404, 409, 503),
        example=Example(path={"name": "disliked"}),
    )  # fmt: skip
    async def _delete(self, request: web.Request, principal: Principal) -> DatasetDeleted:
        """With its versions; requests and feedback stay. Only who made it or an admin may."""
        await self._datasets.delete(request.match_info["name"], principal)
        return DatasetDeleted(deleted=True)

    async def _find(self, request: web.Request, principal: Principal) -> Dataset:
        return await self._datasets.find(request.match_info["name"], principal.tenant)

    async def _shape(self, dataset: Dataset) -> DatasetShape:
        return DatasetShape.of(dataset, await self._datasets.versions(dataset))


def _texts(values: dict[str, ScalarInput]) -> dict[str, str]:
    texts = {}
    for name, value in values.items():
        if value == "":
            raise BadInput("has no value; leave it out or give it one.", field=f"filters.{name}")
        texts[name] = as_text(value)
    return texts
