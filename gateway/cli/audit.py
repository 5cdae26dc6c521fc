"""`gateway audit`: what was done that only an admin may do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from gateway.cli.criteria import criteria_options, filter_of
from gateway.cli.sources import config_option, storage_option, storage_url
from gateway.cli.stores import open_existing
from gateway.cli.table import Column, Table, clock
from gateway.domain.audit import AuditEntry
from gateway.domain.filter import Filter, Page
from gateway.query.audit import NEWEST_FIRST
from gateway.query.search import AUDIT

COLUMNS = (
    Column("AT (UTC)", 19),
    Column("ACTOR", 5, least=8),
    Column("VIA", 7),
    Column("ACTION", 12, least=20),
    Column("TARGET", 6, least=12),
    Column("OUTCOME", 7),
)


@click.command("audit")
@criteria_options(AUDIT)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most entries.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON lines with all fields.")
@config_option
@storage_option
def command(
    limit: int, is_json: bool, config_file: Path | None, storage: str | None, **criteria: str | None
) -> None:
    """Show the audit log, the newest first; all conditions must hold.

    The same as GET /api/v1/audit.
    """
    where = filter_of(AUDIT, criteria)
    entries = asyncio.run(_find(storage_url(config_file, storage), where, limit))
    for line in _json_lines(entries) if is_json else Table(COLUMNS).lines(map(_row, entries)):
        click.echo(line)


async def _find(url: str, where: Filter, limit: int) -> list[AuditEntry]:
    async with open_existing(url) as store:
        return await store.find_audit(where, NEWEST_FIRST, Page(limit), None)


def _row(entry: AuditEntry) -> Sequence[str]:
    told = (entry.actor, entry.via, entry.action, entry.target, entry.outcome)
    return clock(entry.at_us), *(text or "-" for text in told)


def _json_lines(entries: Iterable[AuditEntry]) -> Iterable[str]:
    from gateway.cli.json_lines import audit_lines

    return audit_lines(entries)
