"""Commands on a whole store: backup, restore, compact, merge and migrate."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import (
    audited,
    config_option,
    open_existing_store,
    open_or_create_store,
    storage_option,
    storage_url,
)
from gateway.cli.output import Progress, format_mebibytes
from gateway.errors import BadInput, Conflict
from gateway.models.addresses import database_name
from gateway.store import CopyInfo, back_up_store, measure_store, restore_store
from gateway.store.transfer import MigrationCheck, MigrationProgress, StoreMigration


@click.command("backup")
@click.argument("target", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace DEST if it is there.")
@config_option
@storage_option
def backup_command(target: Path, force: bool, config_file: Path | None, storage: str | None) -> None:
    """Copy the store as it is now to DEST, a file or an existing folder.

    A gateway may work on it meanwhile. Rows that wait beside the store are in the copy. DEST appears when that is
    whole, was found sound, and is on the disk. `gateway restore` brings it back.
    """
    url = storage_url(config_file, storage)
    started_at = time.monotonic()
    if target.is_dir():
        target /= f"{Path(database_name(url)).stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    copied = _copy_with_progress(url, target, force)
    seconds = time.monotonic() - started_at
    click.echo(f"{describe_copy(copied)} in {seconds:,.1f} s: {target}")


def describe_copy(copied: CopyInfo) -> str:
    """Say what is in a copy."""
    return (
        f"{copied.requests:,} requests and {copied.feedback:,} feedback entries,"
        f" {format_mebibytes(copied.size_bytes)}"
    )


def _copy_with_progress(url: str, target: Path, force: bool) -> CopyInfo:
    with click.progressbar(length=1, label="copying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def on_progress(done: int, pages: int) -> None:
            bar.length = pages
            bar.update(done - bar.pos)

        return back_up_store(url, target, on_progress, overwrite=force)


@click.command("restore")
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Give a store that is there already another name.")
@config_option
@storage_option
def restore_command(backup: Path, force: bool, config_file: Path | None, storage: str | None) -> None:
    """Put BACKUP, a file made by `gateway backup`, in the place of the store.

    Nobody may have the store open. It is looked at first whether BACKUP is whole; it stays as it is. A backup of
    an earlier version is brought up to date when a gateway starts on it.
    """
    restored = restore_store(storage_url(config_file, storage), backup, set_aside=force)
    click.echo(f"restored {describe_copy(restored.copied)}")
    if restored.set_aside is not None:
        click.echo(f"what was there before is {restored.set_aside}")


@click.command("compact")
@config_option
@storage_option
def compact_command(config_file: Path | None, storage: str | None) -> None:
    """Write the database anew, without what was erased and the room that it took.

    Takes some seconds a gigabyte, and as much free disk as the database is large. Nobody can write to it meanwhile:
    requests through a running gateway wait in the file beside it, and feedback is answered with 503. With
    PostgreSQL both wait for one table after the other.
    """
    url = storage_url(config_file, storage)
    before = _store_size(url)
    asyncio.run(_compact_store(url))
    click.echo(f"{before} before, {_store_size(url)} now")


async def _compact_store(url: str) -> None:
    async with open_existing_store(url) as store, audited(store, "compact"):
        await store.compact()


def _store_size(url: str) -> str:
    return format_mebibytes(measure_store(url))


async def migrate_store(source_url: str, target_url: str) -> None:
    """Bring everything from one store into another, and say what came of it.

    Raises:
        BadInput: they are the same.
        Conflict: the target is not what it should be afterwards.
        NotFound: there is no source.
    """
    if source_url == target_url:
        raise BadInput("a store cannot be brought into itself.")
    async with (
        open_existing_store(source_url) as source,
        open_or_create_store(target_url) as target,
        audited(target, "merge", database_name(source_url)),
    ):
        progress = Progress()
        mover = StoreMigration(
            source, target, lambda moved: progress.report(lambda: _progress_text(moved), _rows_read(moved))
        )
        checked = await mover.run()
        _print_totals(mover.progress, progress.seconds)
        _report_check(mover.progress, checked)


def _progress_text(moved: MigrationProgress) -> str:
    return f"{moved.source_totals.requests:,} requests and {moved.source_totals.feedback:,} feedback entries read"


def _rows_read(moved: MigrationProgress) -> int:
    return moved.source_totals.requests + moved.source_totals.feedback


def _print_totals(moved: MigrationProgress, seconds: float) -> None:
    source_totals, added = moved.source_totals, moved.added
    click.echo(f"requests  {source_totals.requests:,} read, {added.requests:,} added")
    click.echo(
        f"feedback  {source_totals.feedback:,} read, {added.feedback:,} added; {added.versions:,} versions"
    )
    click.echo(f"keys      {moved.keys:,} added")
    for name in moved.refused_keys:
        click.echo(f"The key {name!r} is left out: another live key has its name.", err=True)
    click.echo(f"in {seconds:,.1f} s")


def _report_check(moved: MigrationProgress, checked: MigrationCheck) -> None:
    if checked.wrong:
        raise Conflict(
            f"the target did not grow by what was added, by its {', '.join(checked.wrong)}.",
            hint="If nobody else wrote to it meanwhile, keep the source and compare.",
        )
    if checked.missed:
        click.echo("Somebody wrote to the source meanwhile: run it again to bring the rest.", err=True)
    else:
        click.echo(
            f"checked   {moved.source_totals.prompt_tokens + moved.source_totals.completion_tokens:,} tokens,"
            f" {moved.source_totals.cost_nanousd / 1e9:,.2f} USD, {moved.source_totals.body_bytes:,} bytes"
            f" of bodies: all there"
        )


@click.command("merge")
@click.argument("sources", metavar="FROM...", nargs=-1, required=True)
@config_option
@storage_option
def merge_command(sources: tuple[str, ...], config_file: Path | None, storage: str | None) -> None:
    """Bring everything that the stores FROM hold into the store of the configuration, or of --storage.

    FROM is a URL such as sqlite:///other.db, or the name of a file. What is there already stays as it is, so a
    merge that was broken off is run again. Gateways may work on either.
    """
    target = storage_url(config_file, storage)
    for source in sources:
        asyncio.run(migrate_store(source if ":" in source else f"sqlite:///{source}", target))


@click.command("migrate")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def migrate_command(source: str, target: str) -> None:
    """Bring everything that the store FROM holds into the store TO, which is made if it is not there.

    Both are URLs such as sqlite:///gateway.db. FROM stays as it is. What has arrived is recognised, so a migration
    that was broken off is run again, and one beside a running gateway once more after that was stopped.
    """
    asyncio.run(migrate_store(source, target))
