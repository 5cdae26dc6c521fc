"""Writing the audit log. Nothing in it is ever changed but how an action ended, once."""

from __future__ import annotations

from gateway.domain.audit import AuditEntry
from gateway.store.relational.connection import Connection
from gateway.store.rows import audit_to_row
from gateway.store.tables import AUDIT, quoted

_BEGIN = (
    f"INSERT INTO audit ({quoted(AUDIT.columns)}) VALUES ({', '.join('?' * len(AUDIT.columns))})"
    " ON CONFLICT (audit_id) DO NOTHING"
)
_END = "UPDATE audit SET outcome = ? WHERE audit_id = ? AND outcome IS NULL"


def begin(connection: Connection, entry: AuditEntry) -> None:
    """Add an entry, unless it is there."""
    connection.execute(_BEGIN, audit_to_row(entry))


def end(connection: Connection, audit_id: str, outcome: str) -> None:
    """Note how an action ended."""
    connection.execute(_END, (outcome, audit_id))
