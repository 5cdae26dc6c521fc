"""`/api/v1/audit`: what was done that only an admin may do."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import AUDIT_PARAMETERS, read_audit_query
from gateway.api.native.http_responses import NextCursor, Schema, json_response
from gateway.api.native.schemas import Time
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.clock import format_rfc3339
from gateway.models.principal import Principal, Role
from gateway.query.audit import AuditReader
from gateway.web.endpoint import Endpoint


class AuditRow(Schema):
    """One action."""

    audit_id: str
    at: Time = Field(description="When it began.")
    actor: str | None = Field(
        description="Name of the key; for commands, of the operating system's user; null where no key is needed."
    )
    via: AuditChannel
    tenant: str | None = Field(description="Whose rows alone the actor could change; null: all.")
    action: str = Field(description="The endpoint, or the command.")
    target: str | None = Field(description="What it was done to; null for a person, whose name is not kept.")
    outcome: str | None = Field(
        description="The status answered, or done or failed; null while it is not known, or if the process died."
    )

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditRow:
        """Return an entry as it is shown."""
        return cls(
            audit_id=entry.audit_id, at=format_rfc3339(entry.at_us), actor=entry.actor, via=entry.via,
            tenant=entry.tenant, action=entry.action, target=entry.target, outcome=entry.outcome,
        )  # fmt: skip


class AuditListReply(Schema):
    data: list[AuditRow] = Field(description="Newest first.")
    next_cursor: NextCursor


class AuditEndpoints:
    """Handlers of the audit log's paths."""

    def __init__(self, audit: AuditReader) -> None:
        self._audit = audit

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/audit",
                handler=self._find,
                role=Role.ADMIN,
                summary="Read the audit log",
                description="What was done that only an admin may do, by calls and by commands. All "
                "conditions must hold. A tenant's admin sees what was done by that tenant's keys.",
                parameters=AUDIT_PARAMETERS,
                reply=AuditListReply,
                failures=(400, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_audit_query(request.query.items())
        found = await self._audit.find(search.where, search.limit, search.after, principal.tenant)
        cursor = None if found.next_cursor is None else "{}.{}".format(*found.next_cursor)
        return json_response(AuditListReply(data=list(map(AuditRow.of, found.entries)), next_cursor=cursor))
