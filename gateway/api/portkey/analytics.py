"""`/v1/analytics`: query parameters, groups and routes of all graphs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from gateway.api.portkey import graphs, quality_graphs, schemas, usage_graphs
from gateway.api.portkey.filters import (
    Compares,
    EndTime,
    Grade,
    PageNumber,
    RequestFilters,
    StartTime,
    whole_number,
)
from gateway.errors import BadInput
from gateway.models.filters import Op, Page
from gateway.models.metrics import DAY_US, FeedbackSums, GroupKey, MetricsQuery, UsageSums
from gateway.models.principal import Principal, Role
from gateway.query.metrics import MAX_TIMELINE_US, MetricsReader
from gateway.web.endpoint import Api, Endpoint, Example, Tag, json_response

ANALYTICS_PATH = "/v1/analytics"
MAX_PAGE_SIZE = 1000

_JANUARY = Example(
    query={"time_of_generation_min": "2026-01-01T00:00:00Z", "time_of_generation_max": "2026-02-01T00:00:00Z"}
)


class GraphParams(RequestFilters):
    """Time range, which is required, and filters of the requests that a graph is about."""

    time_of_generation_min: StartTime = Field(
        description="Requests that started then or later: ISO 8601, `today`, `yesterday`, or an age (`24h`, `7d`)."
    )
    time_of_generation_max: EndTime = Field(
        description="Requests that started then or earlier, likewise; a date includes its whole day."
    )
    # Metrics count feedback on a trace or session for one request only, unlike filters of logs.
    weighted_feedback_min: Annotated[Grade | None, Compares("weighted_verdict", Op.GE)] = Field(
        None, description="Requests whose mean of value × weight is at least this."
    )
    weighted_feedback_max: Annotated[Grade | None, Compares("weighted_verdict", Op.LE)] = Field(
        None, description="Requests whose mean of value × weight is at most this."
    )
    # Graphs have no pages, but clients send these to every path.
    page_size: SkipJsonSchema[object] = None
    current_page: SkipJsonSchema[object] = None

    def metrics_query(self, tenant: str | None) -> MetricsQuery:
        """Return the query. Raises BadInput for a time range that is negative or too long."""
        from_us, last_us = self.time_of_generation_min, self.time_of_generation_max
        for name in ("time_of_generation_min", "time_of_generation_max"):
            if getattr(self, name) < 0:
                raise BadInput("must not be before 1970.", field=name)
        if last_us < from_us:
            raise BadInput("must not be before time_of_generation_min.", field="time_of_generation_max")
        if last_us - from_us > MAX_TIMELINE_US:
            problem = f"must be at most {MAX_TIMELINE_US // DAY_US:,} days after time_of_generation_min."
            raise BadInput(problem, field="time_of_generation_max")
        return MetricsQuery(from_us, last_us + 1, self.where(), tenant=tenant)


class GroupParams(GraphParams):
    page_size: Annotated[int, whole_number(0, MAX_PAGE_SIZE, minimum=0, maximum=MAX_PAGE_SIZE)] = Field(
        MAX_PAGE_SIZE, description="Most groups on a page."
    )
    current_page: PageNumber = Field(0, description="Page number; the first page is 0.")

    def page(self) -> Page:
        return Page(self.page_size, self.current_page * self.page_size)


class UserGroup(graphs.Group):
    user: str
    requests: str = Field(description="The number of requests with this user, in digits.")
    cost: str = Field(description="Their exact cost in cents, as a decimal number.")


class ModelGroup(graphs.Group):
    ai_model: str
    requests: str = Field(description="The number of requests that this model answered, in digits.")
    cost: str = Field(description="Their exact cost in cents, as a decimal number.")


class MetadataGroup(graphs.Group):
    metadata_value: str
    requests: int
    cost: int = Field(description="Their cost in cents.")
    cost_exact: graphs.Exact
    avg_tokens: int = Field(description="Mean tokens of a request.")
    avg_tokens_exact: graphs.Exact
    avg_weighted_feedback: int = Field(description="The mean of value × weight; 0 where there is none.")
    avg_weighted_feedback_exact: graphs.Exact
    requests_with_feedback: int
    last_seen: graphs.Time = Field(description="When the last of them started.")


Ranked = Sequence[tuple[GroupKey, UsageSums]]
GroupRows = Callable[[MetricsReader, MetricsQuery, Ranked], Awaitable[list[dict[str, Any]]]]


def _rows_by(name_field: str) -> GroupRows:
    async def build(_metrics: MetricsReader, _query: MetricsQuery, ranked: Ranked) -> list[dict[str, Any]]:
        return [
            {
                name_field: str(group.value),
                "requests": str(usage.requests),
                "cost": graphs.exact_usage_cents(usage),
            }
            for group, usage in ranked
        ]

    return build


async def _metadata_rows(metrics: MetricsReader, query: MetricsQuery, ranked: Ranked) -> list[dict[str, Any]]:
    feedback = await metrics.feedback_by_group(query)
    return [_metadata_row(group, usage, feedback.get(group, FeedbackSums())) for group, usage in ranked]


def _metadata_row(group: GroupKey, usage: UsageSums, feedback: FeedbackSums) -> dict[str, Any]:
    return {
        "metadata_value": str(group.value),
        "requests": usage.requests,
        "requests_with_feedback": feedback.judged_requests,
        "last_seen": schemas.iso_time(usage.last_started_at_us),
        **graphs.with_exact(
            cost=graphs.usage_cents(usage),
            avg_tokens=graphs.mean(graphs.usage_tokens(usage), usage.requests),
            avg_weighted_feedback=graphs.mean_weighted_feedback(feedback),
        ),
    }


def portkey_analytics_api(metrics: MetricsReader) -> Api:
    """Return the API of `/v1/analytics`."""
    specs = (
        *usage_graphs.USAGE_GRAPHS,
        *quality_graphs.ERROR_GRAPHS,
        *usage_graphs.CACHE_GRAPHS,
        *quality_graphs.FEEDBACK_GRAPHS,
    )
    return Api(
        name="portkey analytics",
        tag=Tag("Portkey: Analytics", "Graphs, summaries and groups as Portkey's analytics API has them."),
        prefixes=(ANALYTICS_PATH,),
        endpoints=(
            *(_graph_endpoint(metrics, spec) for spec in specs),
            _group_endpoint(metrics, "users", "Users", graphs.Groups[UserGroup], _rows_by("user"), "user"),
            _group_endpoint(
                metrics, "ai-models", "Models", graphs.Groups[ModelGroup], _rows_by("ai_model"), "any_model"
            ),
            _group_endpoint(
                metrics,
                # Keys may contain slashes.
                "metadata/{metadata_key:.*[^/]}",
                "Values of the metadata",
                graphs.Groups[MetadataGroup],
                _metadata_rows,
            ),
        ),
        render_error=schemas.render_error,
        error_model=schemas.FailureResponse,
    )


def _graph_endpoint(metrics: MetricsReader, graph: graphs.GraphSpec) -> Endpoint:
    async def handle(request: web.Request, principal: Principal) -> web.Response:
        params = GraphParams.parse(request.query.items())
        content = await graph.build(metrics, params.metrics_query(principal.tenant))
        return json_response(graph.reply.model_validate(content))

    return Endpoint(
        "GET",
        f"{ANALYTICS_PATH}/{graph.path}",
        Role.READ,
        graph.summary,
        description=graph.description,
        query=GraphParams,
        reply=graph.reply,
        failures=(400, 413, 503, 504),
        example=_JANUARY,
        handler=handle,
    )


def _group_endpoint(
    metrics: MetricsReader,
    path: str,
    summary: str,
    reply: type[BaseModel],
    build_rows: GroupRows,
    field: str | None = None,
) -> Endpoint:
    """Return the endpoint of one kind of group.

    Args:
        field: the field that requests are grouped by; None: the metadata key in the path.
    """

    async def handle(request: web.Request, principal: Principal) -> web.Response:
        params = GroupParams.parse(request.query.items())
        key = request.match_info.get("metadata_key", "")
        group_by = field or schemas.COLUMNS_BY_METADATA_KEY.get(key, f"metadata.{key}")
        query = replace(params.metrics_query(principal.tenant), group_by=group_by)
        usage = await metrics.usage_by_group(query)
        known = [(group, sums) for group, sums in usage.items() if group.value is not None]
        ranked = sorted(known, key=lambda item: (-item[1].requests, str(item[0].value)))
        page = params.page()
        rows = await build_rows(metrics, query, ranked[page.offset : page.offset + page.limit])
        return json_response(reply.model_validate({"total": len(ranked), "data": rows}))

    return Endpoint(
        "GET",
        f"{ANALYTICS_PATH}/groups/{path}",
        Role.READ,
        summary,
        description="Those of most requests first. Requests without a value are left out.",
        query=GroupParams,
        reply=reply,
        failures=(400, 413, 503, 504),
        example=_JANUARY,
        handler=handle,
    )
