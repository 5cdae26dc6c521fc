"""`gateway import`: import requests and feedback from log exports of Portkey and Helicone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import click

from gateway.api.helicone import imported as helicone
from gateway.api.portkey import imported as portkey
from gateway.cli import FAILURE, options
from gateway.cli.filters import split_pair
from gateway.cli.output import Progress, escape_unprintable, print_lines
from gateway.cli.row_reader import FileRow, read_rows
from gateway.config import Config
from gateway.errors import BadInput
from gateway.feedback.payloads import SCALES, Scale
from gateway.feedback.service import FeedbackService
from gateway.models.addresses import database_name
from gateway.models.feedback import Feedback
from gateway.models.principal import Principal
from gateway.models.request import ImportedRequest
from gateway.recording.interpreter import CostCalculator
from gateway.recording.log_ingestion import LogImport
from gateway.runtime import build_base_url_lookup, build_price_table, build_provider_policy
from gateway.store.base import Store

AUTO, HELICONE, PORTKEY = "auto", "helicone", "portkey"
DIALECTS = (AUTO, HELICONE, PORTKEY)

# Stored at a time: little enough that a gateway on the same store does not wait for long.
BATCH_ROWS = 200
BATCH_BYTES = 8 * 1024 * 1024

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Translator:
    """Turns rows of an export into requests with feedback."""

    dialect: str
    tenant: str | None
    scale: Scale
    # Our names of providers by those in the rows, in lower case.
    renames: Mapping[str, str]

    def translate(self, row: Row) -> ImportedRequest:
        """Return the request of a row. Raises BadInput for a row without its required fields."""
        dialect = _dialect_of(row) if self.dialect == AUTO else self.dialect
        importer = Principal(f"import:{dialect}", frozenset(), self.tenant)
        if dialect == HELICONE:
            request = helicone.to_imported_request(row, importer)
        else:
            request = portkey.to_imported_request(row, importer, self.scale)
        provider = self.renames.get(request.exchange.provider.lower())
        if provider is None:
            return request
        return replace(request, exchange=replace(request.exchange, provider=provider))


def _dialect_of(row: Row) -> str:
    if helicone.is_helicone_row(row):
        return HELICONE
    if portkey.is_portkey_row(row):
        return PORTKEY
    fault = "has neither the created_at of Portkey nor the request_created_at of Helicone."
    raise BadInput(fault, field="row", hint="A row needs the time of its request.")


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """How many requests and feedback entries of a batch were new."""

    requests: int
    feedback: int


ImportBatch = Callable[[Sequence[ImportedRequest]], Awaitable[ImportCounts]]


@asynccontextmanager
async def open_import(config: Config) -> AsyncIterator[ImportBatch]:
    """Yield the function that stores a batch, each request and each feedback entry once."""
    async with options.open_or_create_store(config.storage.url) as store, options.audited(store, "import"):
        history = _build_history(store, config)

        async def import_batch(batch: Sequence[ImportedRequest]) -> ImportCounts:
            # Requests first: if this ends in between, the next import adds the feedback.
            requests = await history.import_requests(batch)
            return ImportCounts(requests, await FeedbackService(store).insert_missing(_feedback_of(batch)))

        yield import_batch


@asynccontextmanager
async def open_dry_run(config: Config) -> AsyncIterator[ImportBatch]:
    """Yield the function that counts what of a batch would be stored."""
    if options.is_store_missing(config.storage.url):

        async def count_all(batch: Sequence[ImportedRequest]) -> ImportCounts:
            return ImportCounts(len(batch), len(_feedback_of(batch)))

        yield count_all
        return
    async with options.open_existing_store(config.storage.url) as store:
        history = _build_history(store, config)

        async def import_batch(batch: Sequence[ImportedRequest]) -> ImportCounts:
            entries = await FeedbackService(store).find_missing(_feedback_of(batch))
            return ImportCounts(len(await history.missing(batch)), len(entries))

        yield import_batch


def _feedback_of(batch: Sequence[ImportedRequest]) -> list[Feedback]:
    return [entry for request in batch for entry in request.feedback]


def _build_history(store: Store, config: Config) -> LogImport:
    pricing = CostCalculator(build_price_table(config), build_base_url_lookup(config))
    return LogImport(store, pricing, build_provider_policy(config), config.storage.max_body_bytes)


@dataclass(slots=True)
class ImportTotals:
    """Counts of rows and feedback entries."""

    rows: int = 0
    added: int = 0
    refused: int = 0
    feedback: int = 0
    feedback_added: int = 0

    def lines(self, added: str) -> Iterator[str]:
        there = f"{self.rows - self.added - self.refused:,} there already"
        yield f"rows      {self.rows:,} read, {self.added:,} {added}, {there}, {self.refused:,} refused"
        there = f"{self.feedback - self.feedback_added:,} there already"
        yield f"feedback  {self.feedback_added:,} {added}, {there}"


_INPUT_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=_INPUT_FILE)
@click.option(
    "--from",
    "dialect",
    type=click.Choice(DIALECTS),
    default=AUTO,
    show_default=True,
    help="Format of the rows; auto: detected by the fields of each row.",
)
@click.option("--tenant", help="Tenant of the imported rows.  [default: none]")
@click.option(
    "--provider-map",
    "renames",
    metavar="THEIRS=OURS",
    multiple=True,
    help="Rename a provider; may be given several times.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Read and check all rows, and write nothing.")
@click.option("--strict", "is_strict", is_flag=True, help="Stop at the first row that is refused.")
@options.pass_config
def import_command(
    files: tuple[str, ...],
    dialect: str,
    tenant: str | None,
    renames: tuple[str, ...],
    is_dry: bool,
    is_strict: bool,
    config: Config,
) -> int:
    """Import requests and feedback from log exports of Portkey and query results of Helicone.

    FILE holds JSON lines, an array or replies, plain or compressed with gzip or zstd; - is standard input. What
    the store has is not added again, so an import that was interrupted can be repeated. Works on the store
    itself, whether or not a gateway runs on it.
    """
    options.check_name("tenant", tenant)
    scale = SCALES[config.feedback.portkey_scale]
    pairs = (split_pair(text, "--provider-map", "THEIRS=OURS") for text in renames)
    translator = Translator(dialect, tenant, scale, {theirs.lower(): ours for theirs, ours in pairs})

    async def run() -> ImportTotals:
        async with open_dry_run(config) if is_dry else open_import(config) as import_batch:
            return await ImportJob(translator, import_batch, is_strict).run(files)

    totals = asyncio.run(run())
    print_lines(totals.lines("would be added" if is_dry else "added"))
    click.echo(f"store     {database_name(config.storage.url)}")
    return FAILURE if totals.refused else 0


@dataclass(slots=True)
class ImportJob:
    """An import: rows are read and translated until there is a batch to store."""

    translator: Translator
    import_batch: ImportBatch
    is_strict: bool
    _totals: ImportTotals = field(default_factory=ImportTotals)
    _batch: list[ImportedRequest] = field(default_factory=list)
    _batch_bytes: int = 0
    _progress: Progress = field(default_factory=Progress)

    async def run(self, names: Sequence[str]) -> ImportTotals:
        for name in names:
            await self._read_file(name)
        await self._flush()
        return self._totals

    async def _read_file(self, name: str) -> None:
        rows = read_rows(name)
        while not self._is_stopped and (row := next(rows, None)) is not None:
            self._read(name, row)
            if len(self._batch) >= BATCH_ROWS or self._batch_bytes >= BATCH_BYTES:
                await self._flush()

    @property
    def _is_stopped(self) -> bool:
        return self.is_strict and self._totals.refused > 0

    def _read(self, name: str, row: FileRow) -> None:
        self._totals.rows += 1
        try:
            if row.fault is not None:
                raise row.fault
            request = self.translator.translate(row.row)
        except BadInput as error:
            self._totals.refused += 1
            click.echo(escape_unprintable(f"{name}:{row.line}: {error}"), err=True)
            return
        self._batch.append(request)
        self._batch_bytes += len(request.exchange.request_body) + len(request.exchange.response_body)

    async def _flush(self) -> None:
        counts = await self.import_batch(self._batch)
        self._totals.added += counts.requests
        self._totals.feedback += len(_feedback_of(self._batch))
        self._totals.feedback_added += counts.feedback
        self._batch, self._batch_bytes = [], 0
        self._progress.report(lambda: f"{self._totals.rows:,} rows read", self._totals.rows)
