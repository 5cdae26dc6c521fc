"""`/api/v1/traces` and `/api/v1/sessions`: groups of requests with metrics and feedback."""

from typing import TypeVar

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import DEFAULT_LIMIT, FilterParams, GroupListCursor, Limit
from gateway.api.native.http_responses import NextCursor, UnknownKeys
from gateway.api.native.metrics import MetricsFields, metrics_fields
from gateway.api.native.schemas import SessionReply, Time, TraceReply, format_time
from gateway.models.principal import Principal, Role
from gateway.models.trace import RequestGroup
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.groups import GroupSlice, SessionReader, TraceReader
from gateway.web.endpoint import Endpoint, Example, Schema
from gateway.web.query_params import QueryParams

# Ids may contain slashes. One at the very end has to be sent as %2F.
TRACE_PATH = "/api/v1/traces/{trace_id:.*[^/]}"
SESSION_PATH = "/api/v1/sessions/{session:.*[^/]}"


class GroupFields(Schema):
    started_at: Time = Field(description="When the first of its requests started.")
    ended_at: Time = Field(description="When the last of its requests ended.")
    models: list[str] = Field(description="Models that answered, or were requested where none answered.")
    users: list[str]


class TraceName(Schema):
    trace_id: str


class SessionName(Schema):
    session: str
    traces: int


class TraceRow(MetricsFields, GroupFields, TraceName):
    """A trace with the metrics of all its requests."""


class SessionRow(MetricsFields, GroupFields, SessionName):
    """A session with the metrics of all its requests."""


class TraceListReply(Schema):
    data: list[TraceRow] = Field(description="Newest first, by the latest of the requests that match.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


class SessionListReply(Schema):
    data: list[SessionRow] = Field(description="Newest first, by the latest of the requests that match.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


ListReplyT = TypeVar("ListReplyT", TraceListReply, SessionListReply)


def _list_reply(schema: type[ListReplyT], name_field: str, found: GroupSlice) -> ListReplyT:
    cursor = found.next_cursor
    return schema.model_validate(
        {
            "data": [{name_field: group.name, **_group_fields(group)} for group in found.groups],
            "next_cursor": None if cursor is None else f"{cursor.top}.{cursor.seq}",
            "unknown_keys": found.unknown_keys,
        }
    )


def _group_fields(group: RequestGroup) -> dict[str, object]:
    return {
        **metrics_fields(group.usage, group.feedback_sums),
        "traces": group.traces,
        "started_at": format_time(group.started_at_us),
        "ended_at": format_time(group.ended_at_us),
        "models": group.models,
        "users": group.users,
    }


class GroupListParams(FilterParams):
    filters = REQUEST_FILTERS

    limit: Limit = DEFAULT_LIMIT
    cursor: GroupListCursor = None


_LISTED = (
    "Those of which at least one request matches all filters, each with the metrics of all its requests. Newest "
    "first; following the cursors returns each one once, while requests are added."
)


class GroupEndpoints:
    def __init__(self, traces: TraceReader, sessions: SessionReader) -> None:
        self._traces = traces
        self._sessions = sessions

    @Endpoint(
        "GET",
        "/api/v1/traces",
        Role.READ,
        "List traces",
        description=_LISTED,
        failures=(400, 503, 504),
        example=Example(query={"from": "7d", "limit": "2"}),
    )
    async def _list_traces(
        self, request: web.Request, principal: Principal, params: GroupListParams
    ) -> TraceListReply:
        found = await self._traces.find(params.where(), params.limit, params.cursor, principal.tenant)
        return _list_reply(TraceListReply, "trace_id", found)

    @Endpoint("GET", TRACE_PATH, Role.READ, "Read one trace", failures=(400, 404, 413, 503, 504))
    async def _show_trace(self, request: web.Request, principal: Principal, _: QueryParams) -> TraceReply:
        """Its requests, all feedback on it and on them, and the feedback as one score. A trace with feedback
        but no request yet is included. Percent-encode the id."""
        trace = await self._traces.show(request.match_info["trace_id"], principal.tenant)
        return TraceReply.of(trace)

    @Endpoint(
        "GET",
        "/api/v1/sessions",
        Role.READ,
        "List sessions",
        description=_LISTED,
        failures=(400, 503, 504),
        example=Example(query={"from": "7d", "limit": "2"}),
    )
    async def _list_sessions(
        self, request: web.Request, principal: Principal, params: GroupListParams
    ) -> SessionListReply:
        found = await self._sessions.find(params.where(), params.limit, params.cursor, principal.tenant)
        return _list_reply(SessionListReply, "session", found)

    @Endpoint("GET", SESSION_PATH, Role.READ, "Read one session", failures=(400, 404, 413, 503, 504))
    async def _show_session(self, request: web.Request, principal: Principal, _: QueryParams) -> SessionReply:
        """Its requests and traces, all feedback on it and on them, and the feedback that counts for them as
        one score. Percent-encode the name."""
        session = await self._sessions.show(request.match_info["session"], principal.tenant)
        return SessionReply.of(session)
