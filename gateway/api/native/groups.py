"""Lists of traces and of sessions as the native API shows them."""

from __future__ import annotations

from pydantic import Field

from gateway.api.native.figures import Figures, figures
from gateway.api.native.replies import NextCursor, Shape, UnknownKeys
from gateway.api.native.shapes import Time, rfc_3339
from gateway.domain.group import RequestGroup
from gateway.query import GroupSlice


class GroupFields(Shape):
    started_at: Time = Field(description="When the first of its requests started.")
    ended_at: Time = Field(description="When the last of its requests ended.")
    models: list[str] = Field(description="Models that answered, or were asked for where none did.")
    users: list[str]


class TraceName(Shape):
    trace_id: str


class SessionName(Shape):
    session: str
    traces: int


class TraceRow(Figures, GroupFields, TraceName):
    """A trace with the figures of all its requests."""

    @classmethod
    def of(cls, group: RequestGroup) -> TraceRow:
        return cls.model_validate({"trace_id": group.name, **_row(group)})


class SessionRow(Figures, GroupFields, SessionName):
    """A session with the figures of all its requests."""

    @classmethod
    def of(cls, group: RequestGroup) -> SessionRow:
        return cls.model_validate({"session": group.name, "traces": group.traces, **_row(group)})


class TraceListReply(Shape):
    data: list[TraceRow] = Field(description="Newest first, by the latest of the requests that match.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys

    @classmethod
    def of(cls, found: GroupSlice) -> TraceListReply:
        return cls(
            data=[TraceRow.of(group) for group in found.groups],
            next_cursor=_cursor(found),
            unknown_keys=list(found.unknown_keys),
        )


class SessionListReply(Shape):
    data: list[SessionRow] = Field(description="Newest first, by the latest of the requests that match.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys

    @classmethod
    def of(cls, found: GroupSlice) -> SessionListReply:
        return cls(
            data=[SessionRow.of(group) for group in found.groups],
            next_cursor=_cursor(found),
            unknown_keys=list(found.unknown_keys),
        )


def _row(group: RequestGroup) -> dict[str, object]:
    return {
        **figures(group.usage, group.verdicts),
        "started_at": rfc_3339(group.started_at_us),
        "ended_at": rfc_3339(group.ended_at_us),
        "models": group.models,
        "users": group.users,
    }


def _cursor(found: GroupSlice) -> str | None:
    place = found.next_place
    return None if place is None else f"{place.top}.{place.seq}"
