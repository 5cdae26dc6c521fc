"""The four protocols of a store, by consumer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.models.audit import AuditEntry
from gateway.models.exchange import Exchange, RawHeaders
from gateway.models.export import Export
from gateway.models.feedback import (
    Feedback,
    FeedbackSummary,
    Receipt,
    Source,
    Subject,
    Target,
    WaitingFeedback,
)
from gateway.models.filters import Filter, Page, Scalar, Sort
from gateway.models.metrics import (
    Coverage,
    FeedbackSums,
    GroupKey,
    Latencies,
    MetricsQuery,
    PersonSums,
    UsageSums,
)
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
from gateway.models.reviews import RequestScore, Review, ReviewChange
from gateway.models.trace import GroupCursor, GroupField, RequestGroup

# After how long waiting feedback is reported.
OVERDUE_FEEDBACK_US = 3_600_000_000
MAX_AWAITED_IDS = 4
MIN_MISREAD_GRADES = 5

# Undoes the content-encoding that header fields name, as far as possible. Never raises.
Decode = Callable[[bytes, RawHeaders], bytes]


def leave_encoded(body: bytes, headers: RawHeaders) -> bytes:
    return body


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key made at run time, of which only the SHA-256 is kept, as hex."""

    name: str
    sha256: str
    roles: tuple[str, ...]
    tenant: str | None
    created_at_us: int
    revoked_at_us: int | None = None
    limits: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyInfo:
    requests: int
    feedback: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FeedbackInfo:
    """Possible problems: overdue entries, ids that they wait for, and grades that may be misread, by key."""

    waiting: int = 0
    awaited: tuple[str, ...] = ()
    misread: tuple[tuple[str | None, int], ...] = ()


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A sound store; `lacking` is the number of migrations that it lacks."""

    lacking: int
    newest_at_us: int | None
    key_roles: tuple[frozenset[str], ...]
    feedback: FeedbackInfo = FeedbackInfo()


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows after a position: the last position, how many there are, and the first whose facts are not read."""

    top: int
    number: int
    first_unread: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store takes writes now; if not, why."""

    is_writable: bool
    reason: str | None = None


# In all protocols a tenant of None sees every row, any other its own rows only. Queries raise QueryTimeout past the
# time limit and Overloaded where too many run; they are interrupted when the caller is cancelled.


class RequestLog(Protocol):
    """Records requests: proxied, imported, and logged by others."""

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Store exchanges, which then survive the death of the process, and return their `seq`s."""

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> list[tuple[int, Facts]]:
        """Add facts to rows, perhaps before they are durable; return the facts that are to be counted."""

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        """Return `seq` and exchange of the oldest rows without facts in the worker slots of this store."""

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Return the positions of those that are not stored with their tenant, request id and start."""

    async def append_missing(self, imported: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        """Store those that are missing, with their facts, in one transaction, and return their number."""

    async def insert(self, exchanges: Sequence[Exchange], receipt: Receipt | None = None) -> list[int]:
        """Store exchanges and a receipt, all or none, synced; return the `seq`s. Raises Conflict."""

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        """Return the receipt of an earlier call under this idempotency key."""

    async def set_property(self, any_id: str, key: str, value: str, tenant: str | None) -> int:
        """Set a metadata key of the request that an id names; return the number of rows. Raises Ambiguous or
        BadInput."""


class Queries(Protocol):
    """Reads requests, feedback and metrics."""

    async def find_requests(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> list[RequestRecord]:
        """Return the matching rows; without a time limit `in_background`."""

    async def count_requests(
        self, where: Filter, page: Page, tenant: str | None, *, in_background: bool = False
    ) -> int:
        """Return how many matching rows are on a page."""

    async def new_rows(self, after: int) -> NewRows | None:
        """Return what was stored after a `seq`, of all tenants; None if nothing was."""

    async def payload(self, seq: int) -> Payload | None:
        """Return the headers and bodies of a request."""

    async def payloads(self, seqs: Sequence[int], *, in_background: bool = False) -> dict[int, Payload]:
        """Return the headers and bodies of requests, by `seq`; without a time limit `in_background`."""

    async def resolve(
        self,
        ids: Sequence[str],
        tenant: str | None,
        target: Target = Target.TRACE,
        trace_id: str | None = None,
    ) -> dict[str, list[Subject]]:
        """Return what each id names: traces, else requests by our id, else by a response id, else sessions.

        At most `MAX_CANDIDATES`, newest first; failed requests only where none with the same name was answered.
        """

    async def find_feedback(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Feedback]:
        """Return the latest versions of entries; deleted ones only if `where` uses `deleted_at_us`."""

    async def count_feedback(self, where: Filter, page: Page, tenant: str | None) -> int:
        """Return how many matching entries are on a page."""

    async def counted_requests(self, feedback_ids: Sequence[str]) -> dict[str, RequestRecord]:
        """Return the request that each entry counts for, by `feedback_id`."""

    async def latest_feedback(self, records: Sequence[RequestRecord], tenant: str | None) -> list[Feedback]:
        """Return the latest rating and scores of each request, trace and session, oldest first."""

    async def feedback_summaries(self, seqs: Sequence[int]) -> dict[int, FeedbackSummary]:
        """Return a summary of the feedback on each request, its trace and its session."""

    async def usage(self, spec: MetricsQuery) -> dict[GroupKey, UsageSums]:
        """Return the usage of requests. Raises BadInput or TooLarge, as do the next four."""

    async def usage_within(
        self, spec: MetricsQuery, seconds: float
    ) -> tuple[dict[GroupKey, UsageSums], Coverage]:
        """Return the usage of requests, from the latest back to where so much time is used up."""

    async def latencies(self, spec: MetricsQuery) -> dict[GroupKey, Latencies]:
        """Return numbers of requests by duration."""

    async def feedback_sums(self, spec: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
        """Return sums of the feedback on requests."""

    async def people(self, spec: MetricsQuery, source: Source) -> dict[Scalar, dict[str, PersonSums]]:
        """Return what each person says of the requests of each group, the latest rating of each request."""

    async def count_groups(self, spec: MetricsQuery) -> dict[GroupKey, int]:
        """Return how many values the grouping field has."""

    async def count_feedback_by_author(self, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
        """Return how many entries each author gave."""

    async def newest_groups(
        self, by: GroupField, where: Filter, after: GroupCursor | None, limit: int, tenant: str | None
    ) -> list[RequestGroup]:
        """Return groups with a matching request, newest first, from the place `after` on."""

    async def find_reviews(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Review]:
        """Return reviews and reservations, expired ones too."""

    async def reviews_of(self, seqs: Sequence[int]) -> dict[int, Review]:
        """Return the review or reservation of each request, by `seq`."""

    async def request_scores(
        self, where: Filter, after: tuple[int, int] | None, limit: int, tenant: str | None
    ) -> list[RequestScore]:
        """Return scores of people and models, those on the newest requests first, from the place `after` on:
        start of the request, and `seq` of the score."""

    async def find_exports(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Export]: ...

    async def count_exports(self, where: Filter, tenant: str | None) -> int: ...


class FeedbackStore(Queries, Protocol):
    """Writes feedback and reviews."""

    async def put_feedback(self, entries: Sequence[Feedback], receipt: Receipt | None = None) -> None:
        """Store versions of entries, all or none, synced. Raises Conflict."""

    async def remove_feedback(self, feedback_id: str) -> bool:
        """Delete an entry with everything that is kept of it, synced; tell whether it was there."""

    async def feedback_by_ids(self, feedback_ids: Sequence[str]) -> list[Feedback]:
        """Return the latest versions of known entries in this order."""

    async def history(self, feedback_id: str) -> list[Feedback]:
        """Return every version of an entry, the first one first."""

    async def waiting_feedback(self, before_us: int, tenant: str | None) -> WaitingFeedback:
        """Return what was given before a time and waits for its subject."""

    async def recent_binary_grades(self, tenant: str | None) -> dict[str | None, int]:
        """Return by key how many of the latest grades are 0 or 1 and count as such, where they are several."""

    async def has_non_binary_grades(self, key_name: str | None) -> bool:
        """Tell whether a key, or callers without one, gave a grade that is neither 0 nor 1."""

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        """Return the receipt of an earlier call under this idempotency key."""

    async def change_review(self, seq: int, change: ReviewChange) -> Review | None:
        """Change the review of a request, synced; None once it is open. Raises Conflict or NotFound."""

    async def reserve_first(self, seqs: Sequence[int], change: ReviewChange) -> tuple[int, Review] | None:
        """Reserve the first of these requests that is open, synced; return its `seq` and review."""


class Admin(Protocol):
    """Keys, sign-ins, quotas, audit, export jobs, rollups, retention, erasure and transfer."""

    async def keys(self) -> list[StoredKey]:
        """Return every key that was ever made, the oldest first."""

    async def add_key(self, key: StoredKey) -> None:
        """Store a new key. Raises Conflict where a live key has its name."""

    async def revoke_key(self, name: str, at_us: int) -> bool:
        """Mark the live key of this name revoked; tell whether there was one."""

    async def sign_in(self, token_sha256: str, key_sha256: str, now_us: int, expires_at_us: int) -> None:
        """Remember who signed in to the web pages, and forget whose time is over."""

    async def sign_out(self, token_sha256: str) -> None:
        """Forget who signed in."""

    async def signed_in_key(self, token_sha256: str, now_us: int) -> str | None:
        """Return the SHA-256 of the key that somebody signed in with, None where their time is over."""

    async def spend(self, spendings: Sequence[QuotaUsage]) -> None:
        """Add usage to its windows; a later window replaces the stored one."""

    async def spendings(self) -> list[QuotaUsage]:
        """Return the usage of every key in the last window of each kind."""

    async def begin_audit(self, entry: AuditEntry) -> None:
        """Add an audit entry unless it is there, synced."""

    async def end_audit(self, audit_id: str, outcome: str) -> None:
        """Set the outcome of an audit entry once, synced."""

    async def find_audit(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[AuditEntry]: ...

    async def put_export(self, export: Export) -> None:
        """Store a version of an export job, synced. Raises Conflict."""

    async def link_key(self, new_key: bytes) -> bytes:
        """Return the key that signs links to files; `new_key` becomes it where there is none."""

    async def roll_up(self, at_us: int) -> int:
        """Build the rollups that are due; return their number."""

    def on_new_split(self, callback: Callable[[], None]) -> None:
        """Call back when a query asks for fields that no rollups are split by yet."""

    async def create_partitions(self, at_us: int) -> None:
        """Create partitions for the next days, where the store has any."""

    async def expire(self, before_us: int) -> ExpiredCounts:
        """Delete for good, in short steps, what is from before a time. Raises StoreUnavailable."""

    async def find_user_scope(self, user: str, tenant: str | None) -> ErasureScope:
        """Return the data of a user: their requests, and the feedback on these and by them."""

    async def find_author_scope(self, author: str, tenant: str | None) -> ErasureScope:
        """Return the feedback of which an author wrote any version."""

    async def erase(self, scope: ErasureScope, at_us: int) -> None:
        """Erase data for good, in short steps, also from older states of the database.

        Of a request remain time, provider, model, key, outcome, tokens and cost. Raises StoreUnavailable.
        """

    async def compact(self) -> None:
        """Rewrite the database without any byte of deleted rows. Others cannot write meanwhile."""

    async def store_totals(self) -> StoreTotals:
        """Count and sum up everything, row by row."""

    async def requests_after(self, seq: int) -> list[StoredRequest]:
        """Return the rows after a `seq`, in order, as many as fit in memory."""

    async def put_requests(self, requests: Sequence[StoredRequest]) -> list[int]:
        """Store the rows that are missing, with new `seq`s; return their positions."""

    async def histories_after(self, after_seq: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        """Return positions and all versions of entries after a position."""

    async def reviews_after(self, seq: int, limit: int) -> list[Review]:
        """Return reviews after a `seq`, in order."""

    async def put_reviews(self, reviews: Sequence[Review]) -> None:
        """Store reviews of requests that have none, or only a reservation."""

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        """Return receipts after a scope and key, in order."""


class Store(RequestLog, FeedbackStore, Admin, Protocol):
    """The whole store."""

    async def open_all(self) -> None:
        """Open all connections now, as far as the database allows it."""

    async def check(self) -> Health:
        """Try a write."""

    async def close(self) -> None:
        """Finish queued writes, then close the database."""
