"""Store: the seam between the rules and a database.

No SQL, connection or cursor crosses it; only domain types do. Ids, times and scores are made above it, so
that every store holds equal rows and one suite (`tests/store/test_contract.py`) can hold each to the same
promises. Every method raises `StoreUnavailable` where the database cannot be used, and leaves it unchanged
then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.exchange import Exchange, RawHeaders
from gateway.domain.export import Export
from gateway.domain.feedback import Feedback, FeedbackSummary, Receipt, Target
from gateway.domain.filter import Filter, Page, Sort
from gateway.domain.request import Facts, Payload, RequestRecord
from gateway.domain.subject import Subject
from gateway.store.administration import AuditStore, Erasure, KeyStore, Retention, SpendingStore
from gateway.store.figures import AggregateQueries, GroupQueries, Rollups
from gateway.store.transfer import Transfer

Decode = Callable[[bytes, RawHeaders], bytes]
"""Undoes the content-encoding that header fields name for a body, as far as it can be undone. Never raises."""


def as_sent(body: bytes, headers: RawHeaders) -> bytes:
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


class RequestHistory(Protocol):
    """What bringing in requests that happened before needs of a store."""

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Return the positions of those that are not stored yet: no row has their tenant, request id and
        start. Of several alike only the first is returned."""

    async def append_missing(self, past: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
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

    async def counted_for(self, feedback_ids: Sequence[str]) -> dict[str, RequestRecord]:
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

    async def latest_verdicts(self, records: Sequence[RequestRecord], tenant: str | None) -> list[Feedback]:
        """Return what was said last of these requests, their traces and their sessions: of each of these the latest
        entry that says good or bad, and the latest score of each metric; in the order of time. A tenant of None
        sees every entry, any other its own alone."""

    async def feedback_summaries(self, seqs: Sequence[int]) -> dict[int, FeedbackSummary]:
        """Return what was said of each of these requests, its trace and its session, by `seq`; those of which
        nothing was said are left out."""

    async def payload(self, seq: int) -> Payload | None:
        """Return what was kept of a request's heads and bodies; None where nothing was."""


class RequestTags(Protocol):
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

    async def has_other_grades(self, key_name: str | None) -> bool:
        """Tell whether there is a grade from −10 to 10 by this key, or by callers without one, that is neither 0
        nor 1. Takes no longer for many entries than for few."""

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        """Return the receipt of an earlier call under this idempotency key."""


class LogInserts(Protocol):
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

    async def link_key(self, fresh: bytes) -> bytes:
        """Return the key that signs links to files: always the same for this store. `fresh` becomes it if
        there is none yet."""


class Store(
    RequestLog,
    RequestHistory,
    LogInserts,
    RequestQueries,
    AggregateQueries,
    GroupQueries,
    Rollups,
    RequestTags,
    FeedbackStore,
    ExportStore,
    Erasure,
    Retention,
    KeyStore,
    SpendingStore,
    AuditStore,
    Transfer,
    Protocol,
):
    """The whole store, as the composition root sees it.

    What callers ask for and may take long raises QuestionTimeout where it does, Overloaded where too much of it is
    under way; it ends with whoever waits for it.
    """

    async def open_all(self) -> None:
        """Open all connections now, as far as the database lets them in, so that none is opened later."""

    async def check(self) -> Health:
        """Try a write and tell how it went."""

    async def close(self) -> None:
        """Finish what is queued, then let go of the database."""
