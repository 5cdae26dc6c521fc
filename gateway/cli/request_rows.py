"""Logged requests as lines: of a table to read, or of JSON for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gateway.cli.table import Column, Table, clock
from gateway.domain.exchange import Outcome
from gateway.domain.request import RequestRecord

Lines = Callable[[Sequence[RequestRecord]], Iterator[str]]

COLUMNS = (
    Column("TIME (UTC)", 14),
    Column("STATUS", 6, least=17),
    Column("MS", 6),
    Column("TOKENS", 9),
    Column("MODEL", 16, least=8),
    Column("REQUEST ID", 36, least=36),
)


def lines_of(is_json: bool) -> Lines:
    """Return what turns rows into lines, batch after batch of the same output."""
    if not is_json:
        table = Table(COLUMNS)
        return lambda records: table.lines(map(_row, records))
    # The native API's shapes bring the web server's library along, which takes longer than all the rest.
    from gateway.cli.json_lines import request_lines

    return request_lines


def _row(record: RequestRecord) -> tuple[str, ...]:
    return (
        clock(record.started_at_us)[len("2026-") :],
        _status(record),
        f"{(record.ended_at_us - record.started_at_us) / 1000:.0f}",
        _tokens(record),
        record.model or record.requested_model or "-",
        record.request_id,
    )


def _status(record: RequestRecord) -> str:
    """The status, and how it ended where that is not what the status makes one believe."""
    status = "-" if record.status is None else str(record.status)
    return status if record.outcome is Outcome.COMPLETE else f"{status} {record.outcome}"


def _tokens(record: RequestRecord) -> str:
    """Tokens of the prompt and of the answer."""
    if record.prompt_tokens is None and record.completion_tokens is None:
        return "-"
    return f"{record.prompt_tokens or 0}+{record.completion_tokens or 0}"
