"""Commands on a whole store: backup, restore, compact, merge and migrate."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import audited, open_existing_store, open_or_create_store, pass_store_url
from gateway.cli.output import Progress, format_mebibytes
from gateway.errors import BadInput, Conflict
from gateway.models.addresses import database_name
from gateway.store import CopyInfo, back_up_store, measure_store, restore_store
from gateway.store.transfer import MigrationCheck, MigrationProgress, StoreMigration


@click.command("backup")
@click.argument("target", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace DEST if it exists.")
@pass_store_url
def backup_command(target: Path, force: bool, url: str) -> None:
    """Copy the store as it is now to DEST, a file or an existing folder.

    A gateway may use it meanwhile. Rows that wait beside the store are in the copy. DEST appears once it is
    complete, verified and on the disk. `gateway restore` restores it.
    """
    started_at = time.monotonic()
    if target.is_dir():
        target /= f"{Path(database_name(url)).stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    copied = _copy_with_progress(url, target, force)
    seconds = time.monotonic() - started_at
    click.echo(f"{describe_copy(copied)} in {seconds:,.1f} s: {target}")


def describe_copy(copied: CopyInfo) -> str:
    size = format_mebibytes(copied.size_bytes)
    return f"{copied.requests:,} requests and {copied.feedback:,} feedback entries, {size}"


def _copy_with_progress(url: str, target: Path, force: bool) -> CopyInfo:
    with click.progressbar(length=1, label="copying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def on_progress(done: int, pages: int) -> None:
            bar.length = pages
            bar.update(done - bar.pos)

        return back_up_store(url, target, on_progress, overwrite=force)


@click.command("restore")
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Rename a store that exists.")
@pass_store_url
def restore_command(backup: Path, force: bool, url: str) -> None:
    """Put BACKUP, a file made by `gateway backup`, in the place of the store.

    No process may have the store open. BACKUP is verified first, and not changed. A backup of an earlier version
    is migrated when a gateway starts on it.
    """
    restored = restore_store(url, backup, set_aside=force)
    click.echo(f"restored {describe_copy(restored.copied)}")
    if restored.set_aside is not None:
        click.echo(f"what was there before is {restored.set_aside}")


@click.command("compact")
@pass_store_url
def compact_command(url: str) -> None:
    """Rewrite the database without the space of deleted rows.

    Takes some seconds a gigabyte, and as much free disk as the database is large. It cannot be written meanwhile:
    requests through a running gateway wait in the file beside it, and feedback is answered with 503. With
    PostgreSQL both wait for one table after the other.
    """
    before = measure_store(url)
    asyncio.run(_compact_store(url))
    click.echo(f"{format_mebibytes(before)} before, {format_mebibytes(measure_store(url))} now")


async def _compact_store(url: str) -> None:
    async with open_existing_store(url) as store, audited(store, "compact"):
        await store.compact()


async def migrate_store(source_url: str, target_url: str) -> None:
    """Copy one store into another, and print the counts. Raises Conflict where the target lacks rows then."""
    if source_url == target_url:
        raise BadInput("a store cannot be merged into itself.")
    async with (
        open_existing_store(source_url) as source,
        open_or_create_store(target_url) as target,
        audited(target, "merge", database_name(source_url)),
    ):
        progress = Progress()

        def report(moved: MigrationProgress) -> None:
            read = moved.source_totals
            progress.report(
                lambda: f"{read.requests:,} requests and {read.feedback:,} feedback entries read",
                read.requests + read.feedback,
            )

        migration = StoreMigration(source, target, report)
        checked = await migration.run()
        _print_totals(migration.progress, progress.seconds)
        _report_check(migration.progress, checked)


def _print_totals(moved: MigrationProgress, seconds: float) -> None:
    read, added = moved.source_totals, moved.added
    click.echo(f"requests  {read.requests:,} read, {added.requests:,} added")
    click.echo(f"feedback  {read.feedback:,} read, {added.feedback:,} added; {added.versions:,} versions")
    click.echo(f"keys      {moved.keys:,} added")
    for name in moved.refused_keys:
        click.echo(f"The key {name!r} is left out: another live key has its name.", err=True)
    click.echo(f"in {seconds:,.1f} s")


def _report_check(moved: MigrationProgress, checked: MigrationCheck) -> None:
    if checked.wrong:
        fault = f"the target did not grow by what was added, by its {', '.join(checked.wrong)}."
        raise Conflict(fault, hint="If nothing else wrote to it meanwhile, keep the source and compare.")
    if checked.missed:
        click.echo("The source was written meanwhile: run this again to copy the rest.", err=True)
    else:
        read = moved.source_totals
        click.echo(
            f"checked   {read.prompt_tokens + read.completion_tokens:,} tokens, {read.cost_nanousd / 1e9:,.2f} USD,"
            f" {read.body_bytes:,} bytes of bodies: all there"
        )


@click.command("merge")
@click.argument("sources", metavar="FROM...", nargs=-1, required=True)
@pass_store_url
def merge_command(sources: tuple[str, ...], url: str) -> None:
    """Copy everything from the stores FROM into the store of the configuration, or of --storage.

    FROM is a URL such as sqlite:///other.db, or the name of a file. What the target has stays as it is, so a merge
    that was interrupted can be repeated. Gateways may use either.
    """
    for source in sources:
        asyncio.run(migrate_store(source if ":" in source else f"sqlite:///{source}", url))


@click.command("migrate")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def migrate_command(source: str, target: str) -> None:
    """Copy everything from the store FROM into the store TO, which is created if needed.

    Both are URLs such as sqlite:///gateway.db. FROM is not changed. Rows are copied once, so a migration that was
    interrupted can be repeated, and one beside a running gateway is repeated once that is stopped.
    """
    asyncio.run(migrate_store(source, target))
