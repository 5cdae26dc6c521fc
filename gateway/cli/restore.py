"""`gateway restore`: a backup in the place of the store."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.backup import described
from gateway.cli.sources import config_option, storage_option, storage_url
from gateway.store import restore_store


@click.command("restore")
@click.argument("backup", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Give a store that is there already another name.")
@config_option
@storage_option
def command(backup: Path, force: bool, config_file: Path | None, storage: str | None) -> None:
    """Put BACKUP, a file made by `gateway backup`, in the place of the store.

    Nobody may have the store open. It is looked at first whether BACKUP is whole; it stays as it is. A backup of
    an earlier version is brought up to date when a gateway starts on it.
    """
    restored = restore_store(storage_url(config_file, storage), backup, set_aside=force)
    click.echo(f"restored {described(restored.copied)}")
    if restored.set_aside is not None:
        click.echo(f"what was there before is {restored.set_aside}")
