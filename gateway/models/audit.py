"""Entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.models.clock import now_us
from gateway.models.ids import new_id


class AuditChannel(StrEnum):
    """The way by which it was done."""

    API = "api"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit log, which is written before the thing is done.

    Args:
        at_us: when, in microseconds since the epoch.
        actor: name of the key; for commands, of the operating system's user; None where callers need no key.
        tenant: whose rows alone the actor could change; None: all.
        action: the endpoint, as `DELETE /api/v1/users/{user}`, or the command, as `keys create`.
        target: what it was done to; None where that is a person, whose name is not to be kept.
        outcome: the status that was answered, or `done` or `failed`; None as long as it is not known, which it
            never is if the process died meanwhile.
    """

    audit_id: str = field(default_factory=new_id)
    at_us: int = field(default_factory=now_us)
    actor: str | None
    via: AuditChannel
    tenant: str | None = None
    action: str
    target: str | None = None
    outcome: str | None = None
