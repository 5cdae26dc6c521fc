"""`gateway audit`: what was done that only an admin may do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from gateway.cli.filters import filter_options, parse_filter
from gateway.cli.options import config_option, open_existing_store, storage_option, storage_url
from gateway.cli.output import Column, Table, format_time
from gateway.models.audit import AuditEntry
from gateway.models.filters import Filter, Page
from gateway.query.audit import NEWEST_ENTRIES_FIRST
from gateway.query.filters import AUDIT_FILTERS

COLUMNS = (
    Column("AT (UTC)", 19),
    Column("ACTOR", 5, min_width=8),
    Column("VIA", 7),
    Column("ACTION", 12, min_width=20),
    Column("TARGET", 6, min_width=12),
    Column("OUTCOME", 7),
)


@click.command("audit")
@filter_options(AUDIT_FILTERS)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most entries.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON lines with all fields.")
@config_option
@storage_option
def audit_command(
    limit: int, is_json: bool, config_file: Path | None, storage: str | None, **criteria: str | None
) -> None:
    """Show the audit log, the newest first; all conditions must hold.

    The same as GET /api/v1/audit.
    """
    where = parse_filter(AUDIT_FILTERS, criteria)
    entries = asyncio.run(_find_entries(storage_url(config_file, storage), where, limit))
    for line in _json_lines(entries) if is_json else Table(COLUMNS).lines(map(_entry_cells, entries)):
        click.echo(line)


async def _find_entries(url: str, where: Filter, limit: int) -> list[AuditEntry]:
    async with open_existing_store(url) as store:
        return await store.find_audit(where, NEWEST_ENTRIES_FIRST, Page(limit), None)


def _entry_cells(entry: AuditEntry) -> Sequence[str]:
    cells = (entry.actor, entry.via, entry.action, entry.target, entry.outcome)
    return format_time(entry.at_us), *(text or "-" for text in cells)


def _json_lines(entries: Iterable[AuditEntry]) -> Iterable[str]:
    from gateway.cli.serializers import audit_lines

    return audit_lines(entries)
