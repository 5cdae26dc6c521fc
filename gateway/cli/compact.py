"""`gateway compact`: write the database anew, so that nothing is left of what was erased."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.sources import config_option, file_of, storage_option, storage_url
from gateway.cli.stores import audited, open_existing
from gateway.cli.table import mebibytes


@click.command("compact")
@config_option
@storage_option
def command(config_file: Path | None, storage: str | None) -> None:
    """Write the database anew, without what was erased and the room that it took.

    Takes some seconds a gigabyte, and as much free disk as the database is large. Nobody can write to it meanwhile:
    requests through a running gateway wait in the file beside it, and feedback is answered with 503.
    """
    before, after = asyncio.run(_compact(storage_url(config_file, storage)))
    click.echo(f"{mebibytes(before)} before, {mebibytes(after)} now")


async def _compact(url: str) -> tuple[int, int]:
    """Compact the store, and return how many bytes its file had and has."""
    async with open_existing(url) as store, audited(store, "compact"):
        before = file_of(url).stat().st_size
        await store.compact()
        return before, file_of(url).stat().st_size
