"""The seam, as far as running a gateway goes: its keys, what is to be kept no longer, and what admins did. The rest
is in `base.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.audit import AuditEntry
from gateway.domain.erasure import Belongings, Expired
from gateway.domain.filter import Filter, Page, Sort
from gateway.domain.limit import Limit, Spending


class Erasure(Protocol):
    """What erasing a person needs of a store. A tenant of None has all rows, any other its own alone."""

    async def belongings_of(self, user: str, tenant: str | None) -> Belongings:
        """Return what there is of a user: their requests, and the feedback on these and by them."""

    async def given_by(self, author: str, tenant: str | None) -> Belongings:
        """Return what there is of an author of feedback: the entries of which they wrote any version."""

    async def erase(self, belongings: Belongings, at_us: int) -> None:
        """Erase these things for good, in steps between which others write. When this returns, no query finds them,
        and there is no older state of the database in which they are.

        Of a request remain the figures: when, through which provider and model, by which key, how it ended, its
        tokens and cost; not what it was called, tagged with or about. Of entries and receipts remains nothing.

        Raises:
            StoreUnavailable: some may be erased and some not; what is left is found again.
        """

    async def compact(self) -> None:
        """Write the database anew, so that its files hold not a byte of what was erased, nor the room that it took.
        Others cannot write meanwhile."""


class Retention(Protocol):
    """What keeping things for so long and no longer needs of a store."""

    async def make_room(self, at_us: int) -> None:
        """Prepare for what comes in the days after a time, where a store keeps days apart. To be called every few
        hours at least; what comes unprepared for is kept all the same."""

    async def expire(self, before_us: int) -> Expired:
        """Delete for good, in steps between which others write, the requests that started before a time, with their
        bodies and the feedback that counts for them; feedback given before it that counts for no request; jobs of
        exports made before it; and receipts of calls of which nothing is left.

        Raises:
            StoreUnavailable: some may be deleted and some not; what is left is found again.
        """


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A gateway key made at run time. The key itself is not kept, only its SHA-256 as hex."""

    name: str
    sha256: str
    roles: tuple[str, ...]
    tenant: str | None
    created_at_us: int
    revoked_at_us: int | None = None
    limits: tuple[Limit, ...] = ()


class KeyStore(Protocol):
    """What access needs of a store."""

    async def keys(self) -> list[StoredKey]:
        """Return every key that was ever made, the oldest first."""

    async def add_key(self, key: StoredKey) -> None:
        """Keep a new key. Raises Conflict where its name is taken by a key that is not revoked."""

    async def revoke_key(self, name: str, at_us: int) -> bool:
        """Mark the live key of this name revoked; tell whether there was one."""


class SpendingStore(Protocol):
    """What limits of keys need of a store: the processes that share it tell one another what was used."""

    async def spend(self, spendings: Sequence[Spending]) -> None:
        """Add what was used in each window to what was used in it before. A window that began later than the one
        that is kept takes its place."""

    async def spendings(self) -> list[Spending]:
        """Return what every key used in the last window of each kind in which it used anything."""


class AuditStore(Protocol):
    """What the audit log needs of a store."""

    async def begin_audit(self, entry: AuditEntry) -> None:
        """Add an entry unless it is there already, synced to the disk when this returns."""

    async def end_audit(self, audit_id: str, outcome: str) -> None:
        """Note how the action of an entry ended, synced to the disk when this returns. Only the first note
        counts."""

    async def find_audit(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[AuditEntry]:
        """Return the matching entries. A tenant of None sees every one, any other its own alone."""
