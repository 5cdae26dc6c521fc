"""The seam, as far as carrying everything to another store goes; the rest of it is in `base.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.feedback import Feedback, Receipt
from gateway.domain.holdings import Holdings, StoredRequest


class Transfer(Protocol):
    """What being copied from, and to, needs of a store."""

    async def holdings(self) -> Holdings:
        """Count and sum up all that there is, row by row."""

    async def requests_after(self, seq: int) -> list[StoredRequest]:
        """Return the rows that follow a `seq`, in order; as many as can be held in memory, none at the end."""

    async def put_requests(self, requests: Sequence[StoredRequest]) -> list[int]:
        """Store the rows that are not stored yet, in one transaction, as they are but for their `seq`; return their
        positions. A row is stored if one has its tenant, request id and start. What waits for one of their ids is
        joined; those that were not interpreted are to be interpreted here."""

    async def histories_after(self, place: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        """Return entries of feedback with all their versions, the first one first, in the order of their places
        here, from the one after `place` on."""

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        """Return receipts in the order of scope and key, from the one after `after` on."""
