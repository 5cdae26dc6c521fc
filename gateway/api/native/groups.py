"""`/api/v1/traces` and `/api/v1/sessions`: groups of requests with metrics and feedback."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import SESSION_PARAMETERS, TRACE_PARAMETERS, read_group_query
from gateway.api.native.http_responses import NextCursor, Schema, UnknownKeys, json_response
from gateway.api.native.metrics import MetricsFields, metrics_fields
from gateway.api.native.schemas import SessionReply, Time, TraceReply, format_time
from gateway.models.principal import Principal, Role
from gateway.models.trace import RequestGroup
from gateway.query.groups import GroupSlice, SessionReader, TraceReader
from gateway.web.endpoint import Endpoint, refuse_unknown_params


class GroupFields(Schema):
    started_at: Time = Field(description="When the first of its requests started.")
    ended_at: Time = Field(description="When the last of its requests ended.")
    models: list[str] = Field(description="Models that answered, or were asked for where none did.")
    users: list[str]


class TraceName(Schema):
    trace_id: str


class SessionName(Schema):
    session: str
    traces: int


class TraceRow(MetricsFields, GroupFields, TraceName):
    """A trace with the figures of all its requests."""

    @classmethod
    def of(cls, group: RequestGroup) -> TraceRow:
        return cls.model_validate({"trace_id": group.name, **_group_row(group)})


class SessionRow(MetricsFields, GroupFields, SessionName):
    """A session with the figures of all its requests."""

    @classmethod
    def of(cls, group: RequestGroup) -> SessionRow:
        return cls.model_validate({"session": group.name, "traces": group.traces, **_group_row(group)})


class TraceListReply(Schema):
    data: list[TraceRow] = Field(description="Newest first, by the latest of the requests that match.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys

    @classmethod
    def of(cls, found: GroupSlice) -> TraceListReply:
        return cls(
            data=[TraceRow.of(group) for group in found.groups],
            next_cursor=_next_cursor(found),
            unknown_keys=list(found.unknown_keys),
        )


class SessionListReply(Schema):
    data: list[SessionRow] = Field(description="Newest first, by the latest of the requests that match.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys

    @classmethod
    def of(cls, found: GroupSlice) -> SessionListReply:
        return cls(
            data=[SessionRow.of(group) for group in found.groups],
            next_cursor=_next_cursor(found),
            unknown_keys=list(found.unknown_keys),
        )


def _group_row(group: RequestGroup) -> dict[str, object]:
    return {
        **metrics_fields(group.usage, group.verdicts),
        "started_at": format_time(group.started_at_us),
        "ended_at": format_time(group.ended_at_us),
        "models": group.models,
        "users": group.users,
    }


def _next_cursor(found: GroupSlice) -> str | None:
    place = found.next_cursor
    return None if place is None else f"{place.top}.{place.seq}"


class TraceEndpoints:
    """Handlers of the traces' paths."""

    def __init__(self, traces: TraceReader) -> None:
        self._traces = traces

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/traces",
                handler=self._find,
                role=Role.READ,
                summary="Find traces",
                description="Those of which at least one request meets all conditions, each with the figures of "
                "all its requests. Newest first; walking from cursor to cursor meets each trace once, while "
                "requests are added.",
                parameters=TRACE_PARAMETERS,
                reply=TraceListReply,
                failures=(400, 503, 504),
            ),
            Endpoint(
                method="GET",
                # Ids may hold slashes. One at the very end has to be sent as %2F.
                path="/api/v1/traces/{trace_id:.*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read one trace",
                description="Its requests, all feedback on it and on them, and the feedback as one figure. "
                "A trace with feedback but no request yet is shown too. Percent-encode the id.",
                reply=TraceReply,
                failures=(400, 404, 413, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_group_query(request.query.items())
        found = await self._traces.find(search.where, search.limit, search.after, principal.tenant)
        return json_response(TraceListReply.of(found))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown_params(request.query, ())
        trace = await self._traces.show(request.match_info["trace_id"], principal.tenant)
        return json_response(TraceReply.of(trace))


class SessionEndpoints:
    """Handlers of the sessions' paths."""

    def __init__(self, sessions: SessionReader) -> None:
        self._sessions = sessions

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/sessions",
                handler=self._find,
                role=Role.READ,
                summary="Find sessions",
                description="Those of which at least one request meets all conditions, each with the figures of "
                "all its requests. Newest first; walking from cursor to cursor meets each session once, while "
                "requests are added.",
                parameters=SESSION_PARAMETERS,
                reply=SessionListReply,
                failures=(400, 503, 504),
            ),
            Endpoint(
                method="GET",
                # Names may hold slashes. One at the very end has to be sent as %2F.
                path="/api/v1/sessions/{session:.*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read one session",
                description="Its requests and traces, all feedback on it and on them, and what counts for "
                "them as one figure. Percent-encode the name.",
                reply=SessionReply,
                failures=(400, 404, 413, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_group_query(request.query.items())
        found = await self._sessions.find(search.where, search.limit, search.after, principal.tenant)
        return json_response(SessionListReply.of(found))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown_params(request.query, ())
        session = await self._sessions.show(request.match_info["session"], principal.tenant)
        return json_response(SessionReply.of(session))
