"""AuditLog: record an admin action before it is carried out, and its outcome afterwards."""

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
    # Set by actions that know more.
    text: str = DONE


class AuditLog:
    def __init__(self, store: Admin) -> None:
        self._store = store

    @asynccontextmanager
    async def record(self, entry: AuditEntry) -> AsyncIterator[AuditOutcome]:
        """Surround an action: it begins once its entry is synced. Raises StoreUnavailable."""
        await self._store.begin_audit(entry)
        outcome = AuditOutcome()
        try:
            yield outcome
        # Not BaseException: whether a cancelled action was done is not known.
        except Exception as error:
            text = str(error.status) if isinstance(error, GatewayError) else FAILED
            await self._store.end_audit(entry.audit_id, text)
            raise
        await self._store.end_audit(entry.audit_id, outcome.text)
