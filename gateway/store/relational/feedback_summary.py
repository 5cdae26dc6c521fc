"""What was said of the requests of a page, and what the entries of a page were said of: one statement for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from gateway.domain.feedback import MAX_PAIRS, FeedbackSummary, ScoreSummary
from gateway.domain.request import RequestRecord
from gateway.store.computed import IS_VERDICT, is_about_request
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.rows import record_from_row
from gateway.store.tables import REQUESTS
from gateway.store.text import list_to_json, numbers_to_json

_RECORD = ", ".join(f'requests."{column}"' for column in REQUESTS.columns)


@cache
def _summaries(dialect: Dialect) -> str:
    return f"""
SELECT seq, entries, weighted_sum, total_weight, value, weight FROM (
    SELECT
        requests.seq, feedback.value, feedback.weight,
        count(*) OVER of_request AS entries,
        sum(feedback.weight * feedback.score) OVER of_request AS weighted_sum,
        sum(CASE WHEN feedback.score IS NULL THEN 0.0 ELSE feedback.weight END) OVER of_request AS total_weight,
        row_number() OVER (
            PARTITION BY requests.seq
            ORDER BY CASE WHEN feedback.value IS NULL THEN 1 ELSE 0 END,
                feedback.updated_at_us DESC, feedback.seq DESC
        ) AS place
    FROM requests {dialect.joined_in_order} feedback ON {is_about_request(dialect)} AND {IS_VERDICT}
    WHERE requests.seq {dialect.among_numbers("?")}
    WINDOW of_request AS (PARTITION BY requests.seq)
) AS said
WHERE place <= {MAX_PAIRS} ORDER BY seq, place
"""


@cache
def _counted(dialect: Dialect) -> str:
    return (
        f"SELECT feedback.feedback_id, {_RECORD} FROM feedback JOIN requests ON requests.seq = feedback.request_seq"
        f" WHERE feedback.feedback_id {dialect.among_texts('?')}"
    )


def summaries(connection: Connection, seqs: Sequence[int]) -> dict[int, FeedbackSummary]:
    """Return what was said of each of these requests, its trace and its session; without those of which nothing
    was."""
    scores: dict[int, ScoreSummary] = {}
    pairs: dict[int, list[tuple[float, float]]] = {}
    found = connection.execute(_summaries(connection.dialect), (numbers_to_json(seqs),))
    for seq, entries, weighted_sum, total_weight, value, weight in found:
        scores[seq] = ScoreSummary(entries, weighted_sum or 0.0, total_weight)
        if value is not None:
            pairs.setdefault(seq, []).append((value, weight))
    return {seq: FeedbackSummary(score, tuple(pairs.get(seq, ()))) for seq, score in scores.items()}


def counted_for(connection: Connection, feedback_ids: Sequence[str]) -> dict[str, RequestRecord]:
    """Return the request that each of these entries counts for; without those that count for none."""
    found = connection.execute(_counted(connection.dialect), (list_to_json(feedback_ids),))
    return {feedback_id: record_from_row(row) for feedback_id, *row in found}
