"""Entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.models.clock import now_us
from gateway.models.ids import new_id


class AuditChannel(StrEnum):
    """How it was done."""

    API = "api"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit log, written before the action starts.

    Args:
        at_us: in microseconds since the epoch.
        actor: name of the key; for commands, of the operating system's user; None where callers need no key.
        tenant: the only one whose rows the actor could change; None: all.
        action: the endpoint, as `DELETE /api/v1/users/{user}`, or the command, as `keys create`.
        target: None where that is a person, whose name is not kept.
        outcome: the status, or `done` or `failed`; None until it is known, for good if the process died.
    """

    audit_id: str = field(default_factory=new_id)
    at_us: int = field(default_factory=now_us)
    actor: str | None
    via: AuditChannel
    tenant: str | None = None
    action: str
    target: str | None = None
    outcome: str | None = None
