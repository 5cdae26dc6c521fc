"""`gateway audit`: the audit log."""

import asyncio
from collections.abc import Sequence

import click

from gateway.cli.filters import filter_options, json_option, limit_option, parse_filter
from gateway.cli.options import open_existing_store, pass_store_url
from gateway.cli.output import Column, Table, format_time, print_lines
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
@limit_option
@json_option
@pass_store_url
def audit_command(limit: int, is_json: bool, url: str, **criteria: str | None) -> None:
    """Show the audit log, the newest first; all conditions must hold.

    The same as GET /api/v1/audit.
    """
    entries = asyncio.run(_find_entries(url, parse_filter(AUDIT_FILTERS, criteria), limit))
    if is_json:
        from gateway.cli.serializers import audit_lines

        print_lines(audit_lines(entries))
    else:
        print_lines(Table(COLUMNS).lines(map(_entry_cells, entries)))


async def _find_entries(url: str, where: Filter, limit: int) -> list[AuditEntry]:
    async with open_existing_store(url) as store:
        return await store.find_audit(where, NEWEST_ENTRIES_FIRST, Page(limit), None)


def _entry_cells(entry: AuditEntry) -> Sequence[str]:
    cells = (entry.actor, entry.via, entry.action, entry.target, entry.outcome)
    return format_time(entry.at_us), *(text or "-" for text in cells)
