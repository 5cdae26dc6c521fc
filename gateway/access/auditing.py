"""Auditor: whatever only an admin may do is written down before it is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.domain.audit import AuditEntry
from gateway.errors import GatewayError
from gateway.store.administration import AuditStore

DONE = "done"
FAILED = "failed"


@dataclass(slots=True)
class Outcome:
    """How an action ended: to be set by whoever carries it out, where `done` does not say it."""

    text: str = DONE


class Auditor:
    """Keeps the audit log. What cannot be written down is not done."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    @asynccontextmanager
    async def auditing(self, entry: AuditEntry) -> AsyncIterator[Outcome]:
        """Surround an action: it begins once its entry is on the disk, and how it ended is added afterwards.
        Nothing is added where it was broken off.

        Raises:
            StoreUnavailable: the entry could not be written, so the action was not begun; or how it ended could
                not be added.
        """
        await self._store.begin_audit(entry)
        outcome = Outcome()
        try:
            yield outcome
        except GatewayError as error:
            await self._store.end_audit(entry.audit_id, str(error.status))
            raise
        except Exception:
            await self._store.end_audit(entry.audit_id, FAILED)
            raise
        await self._store.end_audit(entry.audit_id, outcome.text)
