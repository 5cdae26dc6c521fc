"""Logged requests as lines: of a table to read, or of JSON for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.cli.table import Column, Table, clock
from gateway.domain.exchange import Outcome
from gateway.domain.feedback import NOT_JUDGED, FeedbackSummary
from gateway.domain.request import RequestRecord

Lines = Callable[[Sequence[RequestRecord], Mapping[int, FeedbackSummary]], Iterator[str]]
"""Turns requests into lines, given what was said of each by `seq`."""

COLUMNS = (
    Column("TIME (UTC)", 14),
    Column("STATUS", 6, least=17),
    Column("MS", 5),
    Column("TOKENS", 7),
    Column("MODEL", 12, least=8),
    Column("FEEDBACK", 8, least=8),
    Column("REQUEST ID", 36, least=36),
)


def lines_of(output: str) -> Lines:
    """Return what turns rows into lines of `table`, `json` or `csv`, batch after batch of the same output."""
    if output == "table":
        table = Table(COLUMNS)
        return lambda records, feedback: table.lines(
            _row(record, feedback.get(record.seq, NOT_JUDGED)) for record in records
        )
    # The native API's shapes bring the web server's library along, which takes longer than all the rest.
    from gateway.cli.json_lines import RequestCsv, request_lines

    return request_lines if output == "json" else RequestCsv().lines


def _row(record: RequestRecord, feedback: FeedbackSummary) -> tuple[str, ...]:
    return (
        clock(record.started_at_us)[len("2026-") :],
        _status(record),
        f"{(record.ended_at_us - record.started_at_us) / 1000:.0f}",
        _tokens(record),
        record.model or record.requested_model or "-",
        feedback_in_short(feedback),
        record.request_id,
    )


def feedback_in_short(feedback: FeedbackSummary) -> str:
    """How many entries, their mean score, and value:weight of each, as far as there is any."""
    if not feedback.score.count:
        return "-"
    mean = feedback.score.weighted_mean
    pairs = (f"{value:g}:{weight:g}" for value, weight in feedback.pairs)
    return " ".join([str(feedback.score.count), "-" if mean is None else f"{mean:+.2f}", *pairs])


def _status(record: RequestRecord) -> str:
    """The status, and how it ended where that is not what the status makes one believe."""
    status = "-" if record.status is None else str(record.status)
    return status if record.outcome is Outcome.COMPLETE else f"{status} {record.outcome}"


def _tokens(record: RequestRecord) -> str:
    """Tokens of the prompt and of the answer."""
    if record.prompt_tokens is None and record.completion_tokens is None:
        return "-"
    return f"{record.prompt_tokens or 0}+{record.completion_tokens or 0}"
