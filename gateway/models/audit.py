"""Entries of the audit log."""

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
    """One line of the audit log, written before the action starts."""

    audit_id: str = field(default_factory=new_id)
    # In microseconds since the epoch.
    at_us: int = field(default_factory=now_us)
    # Name of the key; for commands, of the operating system's user; None where callers need no key.
    actor: str | None
    via: AuditChannel
    # The only one whose rows the actor could change; None: all.
    tenant: str | None = None
    # The endpoint, as `DELETE /api/v1/users/{user}`, or the command, as `keys create`.
    action: str
    # None where that is a person, whose name is not kept.
    target: str | None = None
    # The status, or `done` or `failed`; None until it is known, for good if the process died.
    outcome: str | None = None
