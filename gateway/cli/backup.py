"""`gateway backup`: a copy of the store, taken while it is in use."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.sources import config_option, storage_option, storage_url
from gateway.cli.table import mebibytes
from gateway.domain.database_url import name_of
from gateway.store import Copied, back_up_store


@click.command("backup")
@click.argument("target", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace DEST if it is there.")
@config_option
@storage_option
def command(target: Path, force: bool, config_file: Path | None, storage: str | None) -> None:
    """Copy the store as it is now to DEST, a file or an existing folder.

    A gateway may work on it meanwhile. Rows that wait beside the store are in the copy. DEST appears when that is
    whole, was found sound, and is on the disk. `gateway restore` brings it back.
    """
    url = storage_url(config_file, storage)
    begun = time.monotonic()
    if target.is_dir():
        target /= f"{Path(name_of(url)).stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    copied = _copy(url, target, force)
    seconds = time.monotonic() - begun
    click.echo(f"{described(copied)} in {seconds:,.1f} s: {target}")


def described(copied: Copied) -> str:
    """Say what is in a copy."""
    return (
        f"{copied.requests:,} requests and {copied.feedback:,} feedback entries,"
        f" {mebibytes(copied.size_bytes)}"
    )


def _copy(url: str, target: Path, force: bool) -> Copied:
    with click.progressbar(length=1, label="copying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def tell(done: int, pages: int) -> None:
            bar.length = pages
            bar.update(done - bar.pos)

        return back_up_store(url, target, tell, overwrite=force)
