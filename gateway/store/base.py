"""Protocols that every store keeps, by consumer, and the data that crosses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.models.audit import AuditEntry
from gateway.models.exchange import Exchange, RawHeaders
from gateway.models.export import Export
from gateway.models.feedback import Feedback, FeedbackSummary, Receipt, Subject, Target
from gateway.models.filters import Filter, Page, Sort
from gateway.models.metrics import FeedbackSums, GroupKey, Latencies, MetricsQuery, UsageSums
from gateway.models.quota import Quota, QuotaUsage
from gateway.models.request import (
    ErasureScope,
    ExpiredCounts,
    Facts,
    Payload,
    RequestRecord,
    StoredRequest,
    StoreTotals,
)
from gateway.models.trace import GroupCursor, GroupField, RequestGroup


class ErasureStore(Protocol):
    """What erasing a person needs of a store. A tenant of None has all rows, any other its own alone."""

    async def find_user_scope(self, user: str, tenant: str | None) -> ErasureScope:
        """Return what there is of a user: their requests, and the feedback on these and by them."""

    async def find_author_scope(self, author: str, tenant: str | None) -> ErasureScope:
        """Return what there is of an author of feedback: the entries of which they wrote any version."""

    async def erase(self, scope: ErasureScope, at_us: int) -> None:
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


class RetentionStore(Protocol):
    """What keeping things for so long and no longer needs of a store."""

    async def create_partitions(self, at_us: int) -> None:
        """Prepare for what comes in the days after a time, where a store keeps days apart. To be called every few
        hours at least; what comes unprepared for is kept all the same."""

    async def expire(self, before_us: int) -> ExpiredCounts:
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
    limits: tuple[Quota, ...] = ()


class KeyStore(Protocol):
    """What access needs of a store."""

    async def keys(self) -> list[StoredKey]:
        """Return every key that was ever made, the oldest first."""

    async def add_key(self, key: StoredKey) -> None:
        """Keep a new key. Raises Conflict where its name is taken by a key that is not revoked."""

    async def revoke_key(self, name: str, at_us: int) -> bool:
        """Mark the live key of this name revoked; tell whether there was one."""


class QuotaStore(Protocol):
    """What limits of keys need of a store: the processes that share it tell one another what was used."""

    async def spend(self, spendings: Sequence[QuotaUsage]) -> None:
        """Add what was used in each window to what was used in it before. A window that began later than the one
        that is kept takes its place."""

    async def spendings(self) -> list[QuotaUsage]:
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


class MetricsQueries(Protocol):
    """What questions about many requests at once need of a store. Each answer holds the parts that there is
    anything of. All raise BadInput for a field that requests have not, or that is compared with another kind,
    and may raise TooLarge where an answer has very many parts."""

    async def usage(self, metrics_query: MetricsQuery) -> dict[GroupKey, UsageSums]:
        """Return what the requests took."""

    async def latencies(self, metrics_query: MetricsQuery) -> dict[GroupKey, Latencies]:
        """Return how many of the requests took how long."""

    async def verdicts(self, metrics_query: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
        """Return what was said of the requests."""

    async def count_groups(self, metrics_query: MetricsQuery) -> dict[GroupKey, int]:
        """Return how many values the field has that the question groups by, apart from none; the value of each
        part is None."""

    async def count_feedback_by_author(self, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
        """Return how many entries each of these authors gave, on whatever; without those who gave none."""


class GroupQueries(Protocol):
    """What questions about groups of requests need of a store."""

    async def newest_groups(
        self, by: GroupField, where: Filter, after: GroupCursor | None, limit: int, tenant: str | None
    ) -> list[RequestGroup]:
        """Return at most so many groups of which a request matches, that of the newest first, with the figures of
        all their requests.

        Args:
            after: the place of the group before; those of a walk are all met once, whatever is stored meanwhile.
                None begins a walk.
            tenant: the only tenant whose requests there are; None: all.
        """


class RollupStore(Protocol):
    """What keeping figures at hand needs of a store."""

    async def roll_up(self, at_us: int) -> int:
        """Sum up the pieces of time that are over and are not summed up, or were changed since; return how many
        there were. Answers are the same before and after, but quicker to get."""


class TransferStore(Protocol):
    """What being copied from, and to, needs of a store."""

    async def store_totals(self) -> StoreTotals:
        """Count and sum up all that there is, row by row."""

    async def requests_after(self, seq: int) -> list[StoredRequest]:
        """Return the rows that follow a `seq`, in order; as many as can be held in memory, none at the end."""

    async def put_requests(self, requests: Sequence[StoredRequest]) -> list[int]:
        """Store the rows that are not stored yet, in one transaction, as they are but for their `seq`; return their
        positions. A row is stored if one has its tenant, request id and start. What waits for one of their ids is
        joined; those that were not interpreted are to be interpreted here."""

    async def histories_after(self, after_seq: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        """Return entries of feedback with all their versions, the first one first, in the order of their places
        here, from the one after `place` on."""

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        """Return receipts in the order of scope and key, from the one after `after` on."""


OVERDUE_FEEDBACK_US = 3_600_000_000
"""How long feedback may wait before it is worth a look."""
MAX_AWAITED_IDS = 4
MIN_MISREAD_GRADES = 5


@dataclass(frozen=True, slots=True)
class CopyInfo:
    """What is in a copy of a store: requests, feedback entries, and its size."""

    requests: int
    feedback: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FeedbackInfo:
    """What may be wrong with feedback.

    Args:
        waiting: how many entries have waited for more than `WAITING_US` for what they are about.
        awaited: what the latest of them wait for, up to `MAX_AWAITED` ids.
        misread: keys, None for callers without one, that gave so many grades of 0 and 1 which have the scores of
            grades, and no other grades.
    """

    waiting: int = 0
    awaited: tuple[str, ...] = ()
    misread: tuple[tuple[str | None, int], ...] = ()


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What was seen of a store that is sound.

    Args:
        lacking: how many migrations it lacks.
        newest_at_us: when the latest request started, in microseconds since the epoch.
        key_roles: the roles of each live key.
        feedback: what may be wrong with feedback.
    """

    lacking: int
    newest_at_us: int | None
    key_roles: tuple[frozenset[str], ...]
    feedback: FeedbackInfo = FeedbackInfo()


Decode = Callable[[bytes, RawHeaders], bytes]
"""Undoes the content-encoding that header fields name for a body, as far as it can be undone. Never raises."""


def leave_encoded(body: bytes, headers: RawHeaders) -> bytes:
    """Decode nothing."""
    return body


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store takes writes now; if not, why."""

    is_writable: bool
    reason: str | None = None


class RequestLog(Protocol):
    """What recording needs of a store."""

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Store exchanges and return their `seq`s in order.

        When this returns, the rows survive the death of the process. Feedback that was waiting for one of
        their trace or request ids is joined in the same transaction.
        """

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> list[tuple[int, Facts]]:
        """Add what interpretation found to the rows of these `seq`s; doing it again changes nothing.

        What the retrieval of an answer says was used goes to the request that began it, once. Returns the facts
        that are to be counted, in the same order.

        Response ids become aliases, and feedback that was waiting for one is joined in the same transaction.
        May return before the rows are durable: what is lost then is found by `uninterpreted`.
        """

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        """Return the oldest rows that were never annotated, with their payloads, as (seq, exchange). Those of
        other workers that share the store are theirs."""


class RequestImports(Protocol):
    """What bringing in requests that happened before needs of a store."""

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Return the positions of those that are not stored yet: no row has their tenant, request id and
        start. Of several alike only the first is returned."""

    async def append_missing(self, imported: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        """Store those that are missing, each with what is known of it, in one transaction, and return how many
        that were.

        Doing it again changes nothing, even if both are done at the same time. Apart from that it is like
        `append` followed by `annotate`; without facts a row is left to be interpreted.
        """


class FeedbackQueries(Protocol):
    """What all who look for feedback need of a store."""

    async def find_feedback(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Feedback]:
        """Return the latest versions of matching entries, deleted ones included only if `where` asks for
        `deleted_at_us`."""

    async def counted_requests(self, feedback_ids: Sequence[str]) -> dict[str, RequestRecord]:
        """Return the request that each of these entries counts for, by `feedback_id`; those that count for none are
        left out."""


class IdQueries(Protocol):
    """What all who are given an id need of a store."""

    async def resolve(
        self,
        ids: Sequence[str],
        tenant: str | None,
        target: Target = Target.TRACE,
        trace_id: str | None = None,
    ) -> dict[str, list[Subject]]:
        """Return, for each id that is known, what it names: a trace, a request by our id, a request by its
        provider's response id, or a session; in that order of preference, only the most preferred kind.

        Within a kind, all that it names, the newest first and at most `MAX_CANDIDATES` of them; requests that
        failed are left out where one that was answered has the same name. A tenant of None sees every row,
        any other its own alone. Where the target is a request, an id names no trace and no session; where it is a
        session, nothing else. With a `trace_id`, only what belongs to that trace is named.
        """


class RequestQueries(FeedbackQueries, IdQueries, Protocol):
    """What questions need of a store."""

    async def find_requests(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> list[RequestRecord]:
        """Return the matching rows. A tenant of None sees every row, any other its own alone.

        Args:
            in_background: whether nobody waits for it, so that it may take any time.
        """

    async def latest_feedback(self, records: Sequence[RequestRecord], tenant: str | None) -> list[Feedback]:
        """Return what was said last of these requests, their traces and their sessions: of each of these the latest
        entry that says good or bad, and the latest score of each metric; in the order of time. A tenant of None
        sees every entry, any other its own alone."""

    async def feedback_summaries(self, seqs: Sequence[int]) -> dict[int, FeedbackSummary]:
        """Return what was said of each of these requests, its trace and its session, by `seq`; those of which
        nothing was said are left out."""

    async def payload(self, seq: int) -> Payload | None:
        """Return what was kept of a request's heads and bodies; None where nothing was."""


class RequestProperties(Protocol):
    """What tagging a logged request needs of a store."""

    async def set_property(self, any_id: str, key: str, value: str, tenant: str | None) -> int:
        """Set one key of the metadata of every row of the request that our request id, or else the provider's
        response id, names, instead of keys that differ from it by case alone; return how many rows there are.
        Synced to the disk when this returns.

        A tenant of None finds every request, any other its own alone.

        Raises:
            Ambiguous: the id names several requests; nothing was changed.
            BadInput: the metadata of a row would be too long; nothing was changed.
        """


class FeedbackStore(FeedbackQueries, IdQueries, Protocol):
    """What the feedback core needs of a store."""

    async def put_feedback(self, entries: Sequence[Feedback], receipt: Receipt | None = None) -> None:
        """Store these versions of entries, all or none, synced to the disk when this returns.

        An entry of version 1 must be new; one of version n + 1 must follow a stored version n, which is kept
        in the history.

        Raises:
            Conflict: an entry does not follow the stored version, or the receipt's key was used before.
        """

    async def remove_feedback(self, feedback_id: str) -> bool:
        """Delete an entry for good, with all its versions, its share of sums, the text that edits have from it, and
        the receipts of calls that made or changed it. Tell whether it was there. Synced to the disk when this
        returns."""

    async def feedback_by_ids(self, feedback_ids: Sequence[str]) -> list[Feedback]:
        """Return the latest versions of these entries in the order asked, unknown ones left out."""

    async def history(self, feedback_id: str) -> list[Feedback]:
        """Return every version of an entry, the first one first."""

    async def has_non_binary_grades(self, key_name: str | None) -> bool:
        """Tell whether there is a grade from −10 to 10 by this key, or by callers without one, that is neither 0
        nor 1. Takes no longer for many entries than for few."""

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        """Return the receipt of an earlier call under this idempotency key."""


class LogStore(Protocol):
    """What logging requests that went elsewhere needs of a store."""

    async def insert(self, exchanges: Sequence[Exchange], receipt: Receipt | None = None) -> list[int]:
        """Store exchanges and a receipt, all or none, and return the exchanges' `seq`s in order. Joins what
        waits for them as `append` does, and is synced to the disk when it returns.

        Raises:
            Conflict: the receipt's key was used before.
        """

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        """Return the receipt of an earlier call under this idempotency key."""


class ExportStore(Protocol):
    """What exports need of a store: a place for their jobs, and ways to read much."""

    async def put_export(self, export: Export) -> None:
        """Store this version of a job, synced to the disk when this returns.

        Raises:
            Conflict: one of version 1 is there already, or one of version n + 1 does not follow a stored
                version n.
        """

    async def find_exports(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Export]:
        """Return the matching jobs. A tenant of None sees every one, any other its own alone."""

    async def count_exports(self, where: Filter, tenant: str | None) -> int:
        """Return how many jobs match."""

    async def find_requests(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> list[RequestRecord]:
        """Return the matching rows. A tenant of None sees every row, any other its own alone.

        Args:
            in_background: whether nobody waits for it, so that it may take any time.
        """

    async def count_requests(
        self, where: Filter, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> int:
        """Return how many rows there are on a page of those that match; `in_background` as in `find_requests`."""

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        """Return what was kept of these requests' heads and bodies, by `seq`; those of which nothing was are
        left out. May take any time, and holds up no lookup on which a caller waits."""

    async def link_key(self, new_key: bytes) -> bytes:
        """Return the key that signs links to files: always the same for this store. `fresh` becomes it if
        there is none yet."""


class Store(
    RequestLog,
    RequestImports,
    LogStore,
    RequestQueries,
    MetricsQueries,
    GroupQueries,
    RollupStore,
    RequestProperties,
    FeedbackStore,
    ExportStore,
    ErasureStore,
    RetentionStore,
    KeyStore,
    QuotaStore,
    AuditStore,
    TransferStore,
    Protocol,
):
    """The whole store, as the composition root sees it.

    What callers ask for and may take long raises QueryTimeout where it does, Overloaded where too much of it is
    under way; it ends with whoever waits for it.
    """

    async def open_all(self) -> None:
        """Open all connections now, as far as the database lets them in, so that none is opened later."""

    async def check(self) -> Health:
        """Try a write and tell how it went."""

    async def close(self) -> None:
        """Finish what is queued, then let go of the database."""
