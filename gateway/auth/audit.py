"""SqlAudit: record an admin action before it is carried out, and its outcome afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.models.audit import AuditEntry
from gateway.store.base import Admin

DONE = "done"
FAILED = "failed"


@dataclass(slots=True)
class AuditOutcome:
    """How an action ended: to be set by whoever carries it out, where `done` does not say it."""

    text: str = DONE


class SqlAudit:
    """Keeps the audit log. What cannot be written down is not done."""

    def __init__(self, store: Admin) -> None:
        self._store = store

    @asynccontextmanager
    async def record(self, entry: AuditEntry) -> AsyncIterator[AuditOutcome]:
        """Surround an action: it begins once its entry is on the disk, and how it ended is added afterwards.
        Nothing is added where it was broken off.

        Raises:
            StoreUnavailable: the entry could not be written, so the action was not begun; or how it ended could
                not be added.
        """
        await self._store.begin_audit(entry)
        outcome = AuditOutcome()
        try:
            yield outcome
        except GatewayError as error:
            await self._store.end_audit(entry.audit_id, str(error.status))
            raise
        except Exception:
            await self._store.end_audit(entry.audit_id, FAILED)
            raise
        await self._store.end_audit(entry.audit_id, outcome.text)
