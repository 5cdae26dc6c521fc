"""`/v1/analytics`: query parameters, groups and routes of all graphs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from aiohttp import web
from pydantic import BaseModel, Field

from gateway.api.portkey import quality_graphs, usage_graphs
from gateway.api.portkey.filters import to_filter, to_page
from gateway.api.portkey.graphs import (
    Exact,
    GraphSpec,
    Group,
    Groups,
    Time,
    exact_usage_cents,
    mean,
    mean_weighted_feedback,
    usage_cents,
    usage_tokens,
    with_exact,
)
from gateway.api.portkey.schemas import (
    METADATA_COLUMNS,
    FailureResponse,
    iso_time,
    json_response,
    render_error,
    to_time_us,
)
from gateway.errors import BadInput
from gateway.models.filters import Page
from gateway.models.metrics import DAY_US, FeedbackSums, GroupKey, MetricsQuery, UsageSums
from gateway.models.principal import Principal, Role
from gateway.query.metrics import MAX_TIMELINE_US
from gateway.store.base import Queries
from gateway.web.endpoint import Api, Endpoint, Handler, Parameter, unique_params

MIN_TIME = "time_of_generation_min"
MAX_TIME = "time_of_generation_max"

MAX_PAGE_SIZE = 1000
"""Most groups on a page; so many are on one if nothing is said."""


def read_metrics_query(query: Iterable[tuple[str, str]], tenant: str | None) -> MetricsQuery:
    """Return the question in a query string's decoded pairs.

    Raises:
        BadInput: a parameter is missing, unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = unique_params(query)
    from_us, last_us = _read_time(given, MIN_TIME), _read_time(given, MAX_TIME)
    if last_us < from_us:
        raise BadInput(f"must not be before {MIN_TIME}.", field=MAX_TIME)
    if last_us - from_us > MAX_TIMELINE_US:
        raise BadInput(
            f"must be at most {MAX_TIMELINE_US // DAY_US:,} days after {MIN_TIME}.", field=MAX_TIME
        )
    filters = {name: text for name, text in given.items() if name not in (MIN_TIME, MAX_TIME)}
    where = to_filter(filters, for_metrics=True)
    return MetricsQuery(from_us, last_us + 1, where, tenant=tenant)


def read_page(query: Mapping[str, str]) -> Page:
    """Return the page in a query string; the first one is page 0.

    Raises:
        BadInput: `page_size` or `current_page` is no whole number, or out of bounds.
    """
    return to_page(query, least=0, most=MAX_PAGE_SIZE)


def _read_time(given: Mapping[str, str], name: str) -> int:
    if name not in given:
        raise BadInput("is missing.", field=name, hint="Send a time such as 2026-01-31T09:30:00Z.")
    try:
        time_us = to_time_us(given[name], is_end=name == MAX_TIME)
    except ValueError as problem:
        raise BadInput(f"{problem}.", field=name, hint="A + in a URL is sent as %2B.") from None
    if time_us < 0:
        raise BadInput("must not be before 1970.", field=name)
    return time_us


_TIME_SCHEMA: dict[str, object] = {"type": "string", "format": "date-time"}
_TOKENS_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 0}
_CENTS_SCHEMA: dict[str, object] = {"type": "number", "minimum": 0}
_GRADE_SCHEMA: dict[str, object] = {"type": "number", "minimum": -10, "maximum": 10}
_PAGE_SCHEMA: dict[str, object] = {"type": "integer", "minimum": 0}

METRICS_PARAMETERS = (
    Parameter(
        MIN_TIME,
        "Requests that started then or later: ISO 8601, `today`, `yesterday`, or an age (`24h`, `7d`).",
        _TIME_SCHEMA,
        is_required=True,
    ),
    Parameter(
        MAX_TIME,
        "Requests that started then or earlier, likewise; a date is meant with its end.",
        _TIME_SCHEMA,
        is_required=True,
    ),
    Parameter("workspace_slug", "Taken; there are no workspaces here."),
    Parameter("total_units_min", "Requests of at least so many tokens.", _TOKENS_SCHEMA),
    Parameter("total_units_max", "Requests of at most so many tokens.", _TOKENS_SCHEMA),
    Parameter("prompt_token_min", "Requests of at least so many tokens of prompt.", _TOKENS_SCHEMA),
    Parameter("prompt_token_max", "Requests of at most so many tokens of prompt.", _TOKENS_SCHEMA),
    Parameter("completion_token_min", "Requests of at least so many tokens of completion.", _TOKENS_SCHEMA),
    Parameter("completion_token_max", "Requests of at most so many tokens of completion.", _TOKENS_SCHEMA),
    Parameter("cost_min", "Requests that cost at least so many cents.", _CENTS_SCHEMA),
    Parameter("cost_max", "Requests that cost at most so many cents.", _CENTS_SCHEMA),
    Parameter(
        "weighted_feedback_min", "Requests whose mean of value × weight is at least this.", _GRADE_SCHEMA
    ),
    Parameter(
        "weighted_feedback_max", "Requests whose mean of value × weight is at most this.", _GRADE_SCHEMA
    ),
    Parameter("status_code", "Requests answered with one of these statuses: `401,403`."),
    Parameter("virtual_keys", "Requests to one of these providers, by name: `openai,anthropic`."),
    Parameter("ai_model", "Requests answered by one of these models: `gpt-4o,gpt-4o-mini`."),
    Parameter("ai_org_model", "The same with their providers: `openai__gpt-4o,local__llama`."),
    Parameter("api_key_ids", "Requests that came with one of these gateway keys, by name."),
    Parameter("configs", "Taken; there are no saved configs here, so no request has any."),
    Parameter("metadata", 'Requests with this metadata: `{"_user": "ann", "plan": "pro"}`.'),
    Parameter("trace_id", "Requests of one of these traces."),
    Parameter("span_id", "Requests of one of these spans."),
    Parameter("prompt_slug", "Requests with one of these prompts, by name."),
)
"""What every path takes. Names in a list are separated by commas."""

PAGE_PARAMETERS = (
    Parameter(
        "page_size", "Most groups on a page.",
        {**_PAGE_SCHEMA, "maximum": MAX_PAGE_SIZE, "default": MAX_PAGE_SIZE},
    ),
    Parameter("current_page", "Which page; the first one is 0.", {**_PAGE_SCHEMA, "default": 0}),
)  # fmt: skip
"""What paths of groups take besides."""


class UserGroup(Group):
    user: str
    requests: str = Field(description="How many requests name this user, in digits.")
    cost: str = Field(description="Cents that they cost: a decimal number, exact.")


class ModelGroup(Group):
    ai_model: str
    requests: str = Field(description="How many requests this model answered, in digits.")
    cost: str = Field(description="Cents that they cost: a decimal number, exact.")


class MetadataGroup(Group):
    metadata_value: str
    requests: int
    cost: int = Field(description="Cents that they cost.")
    cost_exact: Exact
    avg_tokens: int = Field(description="Tokens of one request, the mean.")
    avg_tokens_exact: Exact
    avg_weighted_feedback: int = Field(description="The mean of value × weight; 0 where there is nothing.")
    avg_weighted_feedback_exact: Exact
    requests_with_feedback: int
    last_seen: Time = Field(description="When the last of them started.")


UserGroups = Groups[UserGroup]
ModelGroups = Groups[ModelGroup]
MetadataGroups = Groups[MetadataGroup]


async def list_user_groups(store: Queries, metrics_query: MetricsQuery, page: Page) -> UserGroups:
    """Return the users that requests name."""
    ranked = await _groups_by_requests(store, replace(metrics_query, group_by="user"))
    return UserGroups(
        total=len(ranked),
        data=[
            UserGroup(user=str(cell.value), requests=str(usage.requests), cost=exact_usage_cents(usage))
            for cell, usage in _slice_page(page, ranked)
        ],
    )


async def list_model_groups(store: Queries, metrics_query: MetricsQuery, page: Page) -> ModelGroups:
    """Return the models that answered requests, or where none is known were asked for."""
    ranked = await _groups_by_requests(store, replace(metrics_query, group_by="any_model"))
    return ModelGroups(
        total=len(ranked),
        data=[
            ModelGroup(ai_model=str(cell.value), requests=str(usage.requests), cost=exact_usage_cents(usage))
            for cell, usage in _slice_page(page, ranked)
        ],
    )


async def list_metadata_groups(
    store: Queries, metrics_query: MetricsQuery, page: Page, key: str
) -> MetadataGroups:
    """Return the values that requests have under a key of their metadata."""
    grouped = replace(metrics_query, group_by=METADATA_COLUMNS.get(key, f"metadata.{key}"))
    ranked = await _groups_by_requests(store, grouped)
    verdicts = await store.verdicts(grouped)
    return MetadataGroups(
        total=len(ranked),
        data=[
            _metadata_group(cell, usage, verdicts.get(cell, FeedbackSums()))
            for cell, usage in _slice_page(page, ranked)
        ],
    )


def _metadata_group(cell: GroupKey, usage: UsageSums, verdicts: FeedbackSums) -> MetadataGroup:
    return MetadataGroup(
        metadata_value=str(cell.value),
        requests=usage.requests,
        requests_with_feedback=verdicts.judged_requests,
        last_seen=iso_time(usage.last_started_at_us),
        **with_exact(
            cost=usage_cents(usage),
            avg_tokens=mean(usage_tokens(usage), usage.requests),
            avg_weighted_feedback=mean_weighted_feedback(verdicts),
        ),
    )


async def _groups_by_requests(
    store: Queries, metrics_query: MetricsQuery
) -> list[tuple[GroupKey, UsageSums]]:
    usage = await store.usage(metrics_query)
    known = [(cell, sums) for cell, sums in usage.items() if cell.value is not None]
    return sorted(known, key=lambda group: (-group[1].requests, str(group[0].value)))


def _slice_page(
    page: Page, ranked: Sequence[tuple[GroupKey, UsageSums]]
) -> Sequence[tuple[GroupKey, UsageSums]]:
    return ranked[page.offset : page.offset + page.limit]


ANALYTICS_PATH = "/v1/analytics"
GRAPHS = (
    *usage_graphs.USAGE_GRAPHS,
    *quality_graphs.ERROR_GRAPHS,
    *usage_graphs.CACHE_GRAPHS,
    *quality_graphs.FEEDBACK_GRAPHS,
)

GroupQuery = Callable[[MetricsQuery, web.Request], Awaitable[BaseModel]]


def portkey_analytics_api(store: Queries) -> Api:
    """Return the face of `/v1/analytics`, for callers with the role `read`."""
    return Api(
        name="portkey analytics",
        prefixes=(ANALYTICS_PATH,),
        endpoints=(*(_graph_endpoint(store, graph) for graph in GRAPHS), *_group_endpoints(store)),
        render_error=render_error,
        error_model=FailureResponse,
    )


def _graph_endpoint(store: Queries, graph: GraphSpec) -> Endpoint:
    return Endpoint(
        method="GET",
        path=f"{ANALYTICS_PATH}/{graph.path}",
        handler=_handler(lambda metrics_query, _: graph.build(store, metrics_query)),
        role=Role.READ,
        summary=graph.summary,
        description=graph.description,
        parameters=METRICS_PARAMETERS,
        reply=graph.reply,
        failures=(400, 413, 503, 504),
    )


def _group_endpoints(store: Queries) -> tuple[Endpoint, ...]:
    def users(metrics_query: MetricsQuery, request: web.Request) -> Awaitable[UserGroups]:
        return list_user_groups(store, metrics_query, read_page(request.query))

    def models(metrics_query: MetricsQuery, request: web.Request) -> Awaitable[ModelGroups]:
        return list_model_groups(store, metrics_query, read_page(request.query))

    def metadata(metrics_query: MetricsQuery, request: web.Request) -> Awaitable[MetadataGroups]:
        key = request.match_info["metadata_key"]
        return list_metadata_groups(store, metrics_query, read_page(request.query), key)

    return (
        _group_endpoint("users", "Users", users, UserGroups),
        _group_endpoint("ai-models", "Models", models, ModelGroups),
        # Keys may hold slashes.
        _group_endpoint("metadata/{metadata_key:.*[^/]}", "Values of the metadata", metadata, MetadataGroups),
    )


def _group_endpoint(path: str, summary: str, answer: GroupQuery, shape: type[BaseModel]) -> Endpoint:
    return Endpoint(
        method="GET",
        path=f"{ANALYTICS_PATH}/groups/{path}",
        handler=_handler(answer),
        role=Role.READ,
        summary=summary,
        description="Those of most requests first. Requests without one are left out.",
        parameters=(*METRICS_PARAMETERS, *PAGE_PARAMETERS),
        reply=shape,
        failures=(400, 413, 503, 504),
    )


def _handler(answer: GroupQuery) -> Handler:
    async def handle(request: web.Request, principal: Principal) -> web.Response:
        metrics_query = read_metrics_query(request.query.items(), principal.tenant)
        return json_response(await answer(metrics_query, request))

    return handle
