"""`gateway compact`: write the database anew, so that nothing is left of what was erased."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.sources import config_option, storage_option, storage_url
from gateway.cli.stores import audited, open_existing
from gateway.cli.table import mebibytes
from gateway.store import measure_store


@click.command("compact")
@config_option
@storage_option
def command(config_file: Path | None, storage: str | None) -> None:
    """Write the database anew, without what was erased and the room that it took.

    Takes some seconds a gigabyte, and as much free disk as the database is large. Nobody can write to it meanwhile:
    requests through a running gateway wait in the file beside it, and feedback is answered with 503. With
    PostgreSQL both wait for one table after the other.
    """
    url = storage_url(config_file, storage)
    before = _size_of(url)
    asyncio.run(_compact(url))
    click.echo(f"{before} before, {_size_of(url)} now")


async def _compact(url: str) -> None:
    async with open_existing(url) as store, audited(store, "compact"):
        await store.compact()


def _size_of(url: str) -> str:
    return mebibytes(measure_store(url))
