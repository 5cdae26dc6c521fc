"""The four protocols of a store, by consumer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.models.alerts import AlertCheck, AlertEvent, AlertRule, AlertState
from gateway.models.audit import AuditEntry
from gateway.models.cached_answer import CachedAnswer
from gateway.models.datasets import Dataset, DatasetChunk, DatasetVersion
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
    Measure,
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
from gateway.store.automation import Alerts, Rules, Webhooks

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


@dataclass(frozen=True, slots=True)
class JournalPosition:
    """How far segments of the journal are stored, in bytes by name, before and after a write."""

    before: Mapping[str, int]
    after: Mapping[str, int]


# Returns what a row adds to the quotas of its key.
UsageOf = Callable[[Exchange, Facts], Sequence[QuotaUsage]]

# In all protocols a tenant of None sees every row, any other its own rows only. Queries raise QueryTimeout past the
# time limit and Overloaded where too many run; they are interrupted when the caller is cancelled.


class RequestLog(Protocol):
    """Records requests: proxied, imported, and logged by others."""

    async def ingest(
        self,
        rows: Sequence[tuple[Exchange, Facts]],
        position: JournalPosition | None,
        at_us: int,
        usage_of: UsageOf | None = None,
    ) -> list[tuple[int, Facts]]:
        """Store rows, what they use of quotas, and how far the journal is stored, in one transaction; return `seq`s
        and the facts that are to be counted. Raises Conflict where another process has moved the position."""

    async def journal_positions(self) -> dict[str, int]:
        """Return how far segments of the journal are stored, in bytes by name."""

    async def sync_positions(self, forgotten: Sequence[str] = ()) -> None:
        """Have all that is stored on the disk; forget the positions of these segments."""

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Store exchanges, which then survive the death of the process, and return their `seq`s."""

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> list[tuple[int, Facts]]:
        """Add facts to rows, perhaps before they are durable; return the facts that are to be counted."""

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        """Return `seq` and exchange of the oldest rows without facts."""

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        """Return the positions of those that are not stored with their tenant, request id and start."""

    async def append_missing(self, imported: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        """Store those that are missing, with their facts, in one transaction, and return their number."""

    async def insert(
        self, rows: Sequence[tuple[Exchange, Facts]], at_us: int, receipt: Receipt | None = None
    ) -> list[tuple[int, Facts]]:
        """Store rows and a receipt, all or none, synced; return what `ingest` does. Raises Conflict."""

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        """Return the receipt of an earlier call under this idempotency key."""

    async def set_property(self, any_id: str, key: str, value: str, tenant: str | None) -> int:
        """Set a metadata key of a request; return the number of rows. Raises Ambiguous or BadInput."""


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

    async def request_seqs(
        self, where: Filter, after: int, limit: int, tenant: str | None, *, in_background: bool = False
    ) -> list[int]:
        """Return the `seq`s of matching rows after one, in order; without a time limit `in_background`."""

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

    async def feedback_of(
        self, seqs: Sequence[int], *, in_background: bool = False
    ) -> dict[int, list[tuple[Feedback, bool]]]:
        """Return the feedback on each request, its trace and its session, oldest first, and whether it counts."""

    async def usage(self, spec: MetricsQuery) -> dict[GroupKey, UsageSums]:
        """Return the usage of requests. Raises BadInput or TooLarge, as do the next four."""

    async def usage_within(
        self, spec: MetricsQuery, seconds: float
    ) -> tuple[dict[GroupKey, UsageSums], Coverage]:
        """Return the usage of requests, from the latest back to where so much time is used up."""

    async def latencies(
        self, spec: MetricsQuery, measure: Measure = Measure.DURATION
    ) -> dict[GroupKey, Latencies]:
        """Return numbers of requests by duration."""

    async def feedback_sums(self, spec: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
        """Return sums of the feedback on requests."""

    async def people(self, spec: MetricsQuery, source: Source) -> dict[Scalar, Mapping[str, PersonSums]]:
        """Return what each person says of the requests of each group, the latest rating of each request."""

    async def rank_users(self, spec: MetricsQuery, by: str, page: Page, *, descending: bool) -> list[str]:
        """Return the values of `spec.group_by` on a page, ranked by a figure of usage, then by name."""

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
        """Return scores, those on the newest requests first, from a start of a request and `seq` of a score on."""

    async def find_exports(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Export]: ...

    async def count_exports(self, where: Filter, tenant: str | None) -> int: ...

    async def waiting_feedback(self, before_us: int, tenant: str | None) -> WaitingFeedback:
        """Return what was given before a time and waits for its subject."""

    async def find_alerts(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[AlertRule]: ...

    async def alert_checks(self) -> dict[str, AlertCheck]:
        """Return the turns of all rules, by `alert_id`."""

    async def alert_states(self, alert_ids: Sequence[str]) -> list[AlertState]:
        """Return where these rules stand, by group."""

    async def find_alert_events(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[AlertEvent]: ...

    async def find_datasets(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Dataset]: ...

    async def dataset_versions(self, *dataset_ids: str) -> list[DatasetVersion]:
        """Return the versions of datasets, the latest of each first."""

    async def dataset_chunks(self, version_id: str, after: int, limit: int) -> list[DatasetChunk]:
        """Return the chunks of a version that end after a `seq`, in order."""

    async def histories(self, feedback_ids: Sequence[str]) -> dict[str, list[Feedback]]:
        """Return every version of entries by id, the first one first; without a time limit."""


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

    async def add_dataset(self, dataset: Dataset) -> None:
        """Store a new dataset, synced. Raises Conflict where its tenant has one of this name."""

    async def update_dataset(self, dataset: Dataset) -> bool:
        """Store a dataset as changed; tell whether it was there."""

    async def delete_dataset(self, dataset_id: str) -> bool:
        """Delete a dataset with its versions, and what rules added to it; tell whether it was there."""

    async def add_dataset_version(self, version: DatasetVersion, chunks: Sequence[DatasetChunk]) -> None:
        """Store a version, whole or not at all. Raises Conflict where its number is taken or its dataset gone."""

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

    async def expire_matched(self, at_us: int) -> ExpiredCounts:
        """Delete for good the requests that rules keep no longer than until a time. Raises StoreUnavailable."""

    async def find_user_scope(self, user: str, tenant: str | None) -> ErasureScope:
        """Return the data of a user: their requests, and the feedback on these and by them."""

    async def find_author_scope(self, author: str, tenant: str | None) -> ErasureScope:
        """Return the feedback of which an author wrote any version."""

    async def erase(self, scope: ErasureScope, at_us: int) -> None:
        """Erase data for good, also from older states of the database, but for figures. Raises StoreUnavailable."""

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

    async def request_keys(self, seqs: Sequence[int]) -> dict[int, tuple[str, int, str | None]]:
        """Return by `seq` what identifies requests in any store."""

    async def seqs_by_key(
        self, keys: Sequence[tuple[str, int, str | None]]
    ) -> dict[tuple[str, int, str | None], int]:
        """Return the `seq`s of the requests that these keys identify, and perhaps of others."""

    async def marks_after(self, table: str, seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Return what rules did to the next requests after a `seq`, in order: a setting's id, `seq` and more."""

    async def put_marks(self, table: str, marks: Sequence[tuple[Any, ...]]) -> None:
        """Store what is missing of what rules did."""

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        """Return receipts after a scope and key, in order."""


class CachedAnswers(Protocol):
    """Answers that are given again to equal requests."""

    async def find_answer(self, key: str, known_at_us: int = 0) -> CachedAnswer | None:
        """Return what is kept under a key; without its body if it is from the time that is known."""

    async def put_answers(self, answers: Sequence[CachedAnswer]) -> None:
        """Keep answers in place of earlier ones, but none whose key rests."""

    async def delete_answers(self, keys: Sequence[str]) -> None:
        """Delete answers; keys that rest go on with that."""

    async def rest_answers(self, feedback_ids: Sequence[str], min_score: float, until_us: int) -> list[str]:
        """Delete the answers that joined entries below a score are about, and let their keys rest; return these."""

    async def trim_answers(self, max_bytes: int, at_us: int) -> int:
        """Delete what is over, and the oldest answers beyond a size; return their number."""


class Store(RequestLog, FeedbackStore, Admin, Alerts, Webhooks, Rules, CachedAnswers, Protocol):
    """The whole store."""

    async def open_all(self) -> None:
        """Open all connections now, as far as the database allows it."""

    async def check(self) -> Health:
        """Try a write."""

    async def close(self) -> None:
        """Finish queued writes, then close the database."""
