"""`/api/v1/audit`: actions that need the role admin, by calls and by commands."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import DEFAULT_LIMIT, FilterParams, Limit, TimeCursor
from gateway.api.native.http_responses import NextCursor
from gateway.api.native.schemas import Time
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.clock import format_rfc3339
from gateway.models.principal import Principal, Role
from gateway.query.audit import AuditReader
from gateway.query.filters import AUDIT_FILTERS
from gateway.web.endpoint import Endpoint, Example, Schema


class AuditRow(Schema):
    """One action."""

    audit_id: str
    at: Time = Field(description="When it began.")
    actor: str | None = Field(
        description="Name of the key; for commands, of the operating system's user; null where no key is needed."
    )
    via: AuditChannel
    tenant: str | None = Field(description="The tenant whose rows alone the actor could change; null: all.")
    action: str = Field(description="The endpoint, or the command.")
    target: str | None = Field(description="What was changed; null for a person, whose name is not recorded.")
    outcome: str | None = Field(
        description="The response status, or done or failed; null while unknown, or if the process died."
    )

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditRow:
        return cls(
            audit_id=entry.audit_id, at=format_rfc3339(entry.at_us), actor=entry.actor, via=entry.via,
            tenant=entry.tenant, action=entry.action, target=entry.target, outcome=entry.outcome,
        )  # fmt: skip


class AuditListReply(Schema):
    data: list[AuditRow] = Field(description="Newest first.")
    next_cursor: NextCursor


class AuditListParams(FilterParams):
    filters = AUDIT_FILTERS

    limit: Limit = DEFAULT_LIMIT
    cursor: TimeCursor = None


class AuditEndpoints:
    def __init__(self, audit: AuditReader) -> None:
        self._audit = audit

    @Endpoint(
        "GET",
        "/api/v1/audit",
        Role.ADMIN,
        "Read the audit log",
        failures=(400, 503, 504),
        example=Example(query={"limit": "2"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: AuditListParams
    ) -> AuditListReply:
        """Actions that need the role admin, by calls and by commands. All filters must match. An admin of a
        tenant sees the actions of that tenant's keys."""
        found = await self._audit.find(params.where(), params.limit, params.cursor, principal.tenant)
        cursor = None if found.next_cursor is None else "{}.{}".format(*found.next_cursor)
        return AuditListReply(data=list(map(AuditRow.of, found.entries)), next_cursor=cursor)
