"""Reviews: reserve, mark and open requests, each in one transaction; and scores for agreement."""

from collections.abc import Sequence
from functools import cache

from gateway.errors import NotFound
from gateway.models.feedback import Source
from gateway.models.filters import Filter, Page, Sort
from gateway.models.reviews import RequestScore, Review, ReviewChange, ReviewState, review_conflict
from gateway.store.database import Database
from gateway.store.dialect import Connection, Dialect
from gateway.store.filters import Query, select_rows, where_clause
from gateway.store.rows import MAX_INTEGER, REVIEW_ROWS, SCORE_ROWS, clean_text, numbers_to_json
from gateway.store.schema import FEEDBACK, REVIEWS, REVIEWS_REQUEST, quote_columns

_STORED_COLUMNS = REVIEWS.columns[1:]
_IDENTITY = "(request_id, trace_id, coalesce(tenant, ''))"
_CHANGED_COLUMNS = ("state", "reviewer", "note", "at_us", "reserved_until_us")
_REPLACE = ", ".join(f"{column} = excluded.{column}" for column in _CHANGED_COLUMNS)
_HAS_EXPIRED = "reviews.reserved_until_us <= excluded.at_us"
# A person renews a reservation, ends it with a review, and may word the note of a review anew.
_IS_OWN = (
    "reviews.reviewer = excluded.reviewer"
    f" AND (reviews.state = '{ReviewState.RESERVED}' OR excluded.state = '{ReviewState.REVIEWED}')"
)
_INSERT = f"""
INSERT INTO reviews ({quote_columns(_STORED_COLUMNS)})
SELECT tenant, request_id, trace_id, CAST(:state AS TEXT), CAST(:reviewer AS TEXT), CAST(:note AS TEXT),
    CAST(:at_us AS BIGINT), CAST(:until_us AS BIGINT)
FROM requests WHERE seq = :seq
ON CONFLICT {_IDENTITY} DO UPDATE SET {_REPLACE} WHERE {_HAS_EXPIRED}
"""
_CHANGE = f"{_INSERT} OR {_IS_OWN}"
_COPY = f"""
INSERT INTO reviews ({quote_columns(_STORED_COLUMNS)}) VALUES ({", ".join("?" * len(_STORED_COLUMNS))})
ON CONFLICT {_IDENTITY} DO UPDATE SET {_REPLACE}
WHERE reviews.state = '{ReviewState.RESERVED}' AND excluded.state = '{ReviewState.REVIEWED}'
"""
_DELETE = "DELETE FROM reviews WHERE seq = ?"
_AFTER = f"SELECT {quote_columns(REVIEWS.columns)} FROM reviews WHERE seq > ? ORDER BY seq LIMIT ?"
_REVIEW_COLUMNS = ", ".join(f'reviews."{column}"' for column in REVIEWS.columns)


@cache
def _select_reviews(dialect: Dialect) -> str:
    return (
        f"SELECT requests.seq, {_REVIEW_COLUMNS} FROM requests {dialect.ordered_join} reviews"
        f" ON {REVIEWS_REQUEST} WHERE requests.seq {dialect.in_numbers('?')}"
    )


def change_review(connection: Connection, seq: int, change: ReviewChange) -> Review | None:
    """Apply a change to the request of this row; return its review, None once it is open.

    Raises Conflict where it is somebody else's, and NotFound.
    """
    if change.state is None:
        _open(connection, seq, change)
        return None
    is_done = _write(connection, _CHANGE, seq, change)
    review = _review_of(connection, seq)
    if review is None:
        raise NotFound("the request is no longer stored.", field="request_id")
    if not is_done:
        raise review_conflict(review, field="state")
    return review


def reserve_first(
    connection: Connection, seqs: Sequence[int], change: ReviewChange
) -> tuple[int, Review] | None:
    """Reserve the first of these requests that is open; return its `seq` and review."""
    for seq in seqs:
        if _write(connection, _INSERT, seq, change) and (review := _review_of(connection, seq)):
            return seq, review
    return None


def _write(connection: Connection, sql: str, seq: int, change: ReviewChange) -> bool:
    note = None if change.note is None else clean_text(change.note)
    values = {"state": change.state, "reviewer": clean_text(change.reviewer), "note": note}
    times = {"at_us": change.at_us, "until_us": change.reserved_until_us, "seq": seq}
    return connection.execute(sql, {**values, **times}).rowcount > 0


def _review_of(connection: Connection, seq: int) -> Review | None:
    row = connection.execute(_select_reviews(connection.dialect), (numbers_to_json([seq]),)).fetchone()
    return None if row is None else REVIEW_ROWS.from_row(row[1:])


def _open(connection: Connection, seq: int, change: ReviewChange) -> None:
    review = _review_of(connection, seq)
    if review is None:
        return
    is_own = review.reviewer == clean_text(change.reviewer)
    if not (is_own or change.is_forced or review.is_open(change.at_us)):
        raise review_conflict(review, field="state")
    connection.execute(_DELETE, (review.seq,))


def scores_query(
    where: Filter, after: tuple[int, int] | None, limit: int, tenant: str | None, dialect: Dialect
) -> Query:
    """Select scores of people and models that count for a request, those on the newest requests first.

    Args:
        where: on feedback; what is on its request is in a `FeedbackFilter`.
        after: start of the request and `seq` of the last score before.
    """
    found = where_clause(FEEDBACK, where, tenant, dialect)
    after = after or (MAX_INTEGER, MAX_INTEGER)
    # The conditions without values are those of the index `feedback_counted`, or cost nothing.
    sql = f"""
SELECT seq, request_seq, request_started_at_us, author, source, CASE kind WHEN 'score' THEN metric END AS metric,
    score, weight, updated_at_us
FROM feedback
WHERE request_seq IS NOT NULL AND score IS NOT NULL AND weight > 0 AND deleted_at_us IS NULL
    AND source IN ('{Source.HUMAN}', '{Source.MODEL}')
    AND (request_started_at_us, seq) < (?, ?) AND {found.sql}
ORDER BY request_started_at_us DESC, seq DESC LIMIT ?
"""
    return Query(sql, (*after, *found.values, limit))


class SqlReviews(Database):
    """Reviews of requests."""

    async def change_review(self, seq: int, change: ReviewChange) -> Review | None:
        return await self._write_exclusively(change_review, seq, change)

    async def reserve_first(self, seqs: Sequence[int], change: ReviewChange) -> tuple[int, Review] | None:
        return await self._write_exclusively(reserve_first, seqs, change) if seqs else None

    async def find_reviews(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Review]:
        query = select_rows(REVIEWS, where, sort, page, tenant, self._dialect)
        rows = await self._replica.query(lambda connection: connection.fetch_all(query.sql, query.values))
        return [REVIEW_ROWS.from_row(row) for row in rows]

    async def reviews_of(self, seqs: Sequence[int]) -> dict[int, Review]:
        if not seqs:
            return {}
        # A reviewer sees the effect of the last change at once, so not on the replica.
        rows = await self._primary.fetch_all(_select_reviews(self._dialect), (numbers_to_json(seqs),))
        return {seq: REVIEW_ROWS.from_row(row) for seq, *row in rows}

    async def request_scores(
        self, where: Filter, after: tuple[int, int] | None, limit: int, tenant: str | None
    ) -> list[RequestScore]:
        query = scores_query(where, after, limit, tenant, self._dialect)
        rows = await self._replica.query(lambda connection: connection.fetch_all(query.sql, query.values))
        return [SCORE_ROWS.from_row(row) for row in rows]

    async def reviews_after(self, seq: int, limit: int) -> list[Review]:
        rows = await self._primary.read(lambda connection: connection.fetch_all(_AFTER, (seq, limit)))
        return [REVIEW_ROWS.from_row(row) for row in rows]

    async def put_reviews(self, reviews: Sequence[Review]) -> None:
        rows = [REVIEW_ROWS.to_row(review)[1:] for review in reviews]
        await self._write_exclusively(lambda connection: connection.executemany(_COPY, rows))
