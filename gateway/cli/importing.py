"""`gateway import`: bring in what another gateway has logged."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from gateway.cli import FAILURE
from gateway.cli.bringing import Take, bringing_in, looking_at
from gateway.cli.dialects import AUTO, DIALECTS, Translator
from gateway.cli.keys import refuse_odd
from gateway.cli.progress import Progress
from gateway.cli.row_files import FileRow, read_rows
from gateway.cli.sources import config_option, find_file, storage_option
from gateway.cli.table import printable
from gateway.config import load_config
from gateway.domain.database_url import name_of
from gateway.domain.past import PastRequest
from gateway.errors import BadInput
from gateway.feedback import SCALES

BATCH_ROWS = 200
BATCH_BYTES = 8 * 1024 * 1024
"""How much is stored at a time: little enough that a gateway on the same store does not wait for long."""


@dataclass(slots=True)
class Tally:
    """What came of the rows so far."""

    rows: int = 0
    added: int = 0
    refused: int = 0
    feedback: int = 0
    feedback_added: int = 0

    def lines(self, added: str) -> Iterator[str]:
        """Return what is said at the end."""
        there = self.rows - self.added - self.refused
        yield (
            f"rows      {self.rows:,} read, {self.added:,} {added}, {there:,} there already, "
            f"{self.refused:,} refused"
        )
        yield (
            f"feedback  {self.feedback_added:,} {added}, "
            f"{self.feedback - self.feedback_added:,} there already"
        )


@click.command("import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option(
    "--from",
    "dialect",
    type=click.Choice(DIALECTS),
    default=AUTO,
    show_default=True,
    help="Whose rows they are; auto: told by each row's fields.",
)
@click.option("--tenant", help="Whose rows they become.  [default: nobody's in particular]")
@click.option(
    "--provider-map",
    "renames",
    metavar="THEIRS=OURS",
    multiple=True,
    help="What a provider is called here; may be given several times.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Read and check all rows, and write nothing.")
@click.option("--strict", "is_strict", is_flag=True, help="Stop at the first row that is refused.")
@config_option
@storage_option
def command(
    files: tuple[str, ...],
    dialect: str,
    tenant: str | None,
    renames: tuple[str, ...],
    is_dry: bool,
    is_strict: bool,
    config_file: Path | None,
    storage: str | None,
) -> int:
    """Bring in requests and feedback from log exports of Portkey and query results of Helicone.

    FILE holds JSON lines, an array or replies, plain or compressed with gzip or zstd; - is standard input. What
    is there already is not added again, so an import that was broken off may simply be repeated. Works on the
    store itself, whether or not a gateway runs on it.
    """
    refuse_odd("tenant", tenant)
    config = load_config(find_file(config_file), os.environ, {"storage.url": storage})
    scale = SCALES[config.feedback.portkey_scale]
    translator = Translator(dialect, tenant, scale, dict(map(_rename, renames)))

    async def run() -> Tally:
        async with looking_at(config) if is_dry else bringing_in(config) as take:
            return await Import(translator, take, is_strict).run(files)

    tally = asyncio.run(run())
    for line in tally.lines("would be added" if is_dry else "added"):
        click.echo(line)
    click.echo(f"store     {name_of(config.storage.url)}")
    return FAILURE if tally.refused else 0


@dataclass(slots=True)
class Import:
    """One import on its way: rows are read and translated until there is a batch to be taken."""

    translator: Translator
    take: Take
    is_strict: bool
    _tally: Tally = field(default_factory=Tally)
    _batch: list[PastRequest] = field(default_factory=list)
    _batch_bytes: int = 0
    _progress: Progress = field(default_factory=Progress)

    async def run(self, names: Sequence[str]) -> Tally:
        """Import files one after another, and return what came of it."""
        for name in names:
            await self._read_file(name)
        await self._flush()
        return self._tally

    async def _read_file(self, name: str) -> None:
        rows = read_rows(name)
        while not self._has_had_enough and (row := next(rows, None)) is not None:
            self._read(name, row)
            if len(self._batch) >= BATCH_ROWS or self._batch_bytes >= BATCH_BYTES:
                await self._flush()

    @property
    def _has_had_enough(self) -> bool:
        return self.is_strict and self._tally.refused > 0

    def _read(self, name: str, row: FileRow) -> None:
        self._tally.rows += 1
        try:
            past = self._translated(row)
        except BadInput as error:
            self._tally.refused += 1
            click.echo(printable(f"{name}:{row.line}: {error}"), err=True)
            return
        self._batch.append(past)
        self._batch_bytes += len(past.exchange.request_body) + len(past.exchange.response_body)

    def _translated(self, row: FileRow) -> PastRequest:
        if row.fault is not None:
            raise row.fault
        return self.translator.translate(row.row)

    async def _flush(self) -> None:
        taken = await self.take(self._batch)
        self._tally.added += taken.requests
        self._tally.feedback += sum(len(past.feedback) for past in self._batch)
        self._tally.feedback_added += taken.feedback
        self._batch, self._batch_bytes = [], 0
        self._progress.tell(lambda: f"{self._tally.rows:,} rows read", self._tally.rows)


def _rename(text: str) -> tuple[str, str]:
    theirs, separator, ours = text.partition("=")
    if not (theirs and separator and ours):
        raise click.BadParameter(f"{text!r} is not THEIRS=OURS.", param_hint="--provider-map")
    return theirs.lower(), ours
