"""`gateway import`: import requests and feedback from exports of other products."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import click

from gateway.cli import FAILURE, options
from gateway.cli.filters import split_pair
from gateway.cli.import_formats import AUTO, FORMATS, RowSpool, Translator
from gateway.cli.output import Progress, escape_unprintable, print_lines
from gateway.cli.row_reader import FileRow, read_rows
from gateway.config import Config
from gateway.errors import BadInput
from gateway.feedback.imported import ImportedFeedback, RowKind, find_imported_entries
from gateway.feedback.payloads import SCALES
from gateway.feedback.service import FeedbackService
from gateway.models.addresses import database_name
from gateway.models.feedback import Feedback
from gateway.models.request import ImportedRequest
from gateway.recording.interpreter import CostCalculator
from gateway.recording.log_ingestion import LogImport
from gateway.runtime import build_base_url_lookup, build_price_table, build_provider_policy
from gateway.store.base import Store

# Stored at a time: little enough that a gateway on the same store does not wait for long.
BATCH_ROWS = 200
BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """How many requests and feedback entries of a batch were new."""

    requests: int
    feedback: int


# Takes requests, and feedback that names its subject.
ImportBatch = Callable[[Sequence[ImportedRequest], Sequence[ImportedFeedback]], Awaitable[ImportCounts]]


@asynccontextmanager
async def open_import(config: Config) -> AsyncIterator[ImportBatch]:
    """Yield the function that stores a batch, each request and each feedback entry once."""
    async with options.open_or_create_store(config.storage.url) as store, options.audited(store, "import"):
        history = _build_history(store, config)

        async def import_batch(
            batch: Sequence[ImportedRequest], named: Sequence[ImportedFeedback]
        ) -> ImportCounts:
            # Requests first: if this ends in between, the next import adds the feedback.
            requests = await history.import_requests(batch)
            entries = [*_feedback_of(batch), *await find_imported_entries(store, named)]
            return ImportCounts(requests, await FeedbackService(store).insert_missing(entries))

        yield import_batch


@asynccontextmanager
async def open_dry_run(config: Config) -> AsyncIterator[ImportBatch]:
    """Yield the function that counts what of a batch would be stored."""
    if options.is_store_missing(config.storage.url):

        async def count_all(
            batch: Sequence[ImportedRequest], named: Sequence[ImportedFeedback]
        ) -> ImportCounts:
            return ImportCounts(len(batch), len(_feedback_of(batch)) + len(named))

        yield count_all
        return
    async with options.open_existing_store(config.storage.url) as store:
        history = _build_history(store, config)

        async def import_batch(
            batch: Sequence[ImportedRequest], named: Sequence[ImportedFeedback]
        ) -> ImportCounts:
            entries = [*_feedback_of(batch), *await find_imported_entries(store, named)]
            missing = await FeedbackService(store).find_missing(entries)
            return ImportCounts(len(await history.missing(batch)), len(missing))

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
    requests: int = 0
    added: int = 0
    refused: int = 0
    # Rows of feedback alone, and rows that only add to others or are not kept here.
    feedback_rows: int = 0
    others: int = 0
    feedback: int = 0
    feedback_added: int = 0

    def lines(self, added: str) -> Iterator[str]:
        there = f"{self.requests - self.added:,} there already"
        counts = [f"{self.rows:,} read", f"{self.added:,} {added}", there]
        counts += [f"{self.feedback_rows:,} of feedback"] if self.feedback_rows else []
        counts += [f"{self.others:,} of other things"] if self.others else []
        yield f"rows      {', '.join(counts)}, {self.refused:,} refused"
        there = f"{self.feedback - self.feedback_added:,} there already"
        yield f"feedback  {self.feedback_added:,} {added}, {there}"


_INPUT_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True)


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=_INPUT_FILE)
@click.option(
    "--from",
    "dialect",
    type=click.Choice([AUTO, *FORMATS]),
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
    """Import requests and feedback from exports of Portkey, Helicone, Langfuse, LangSmith and TensorZero.

    FILE holds JSON lines, an array or replies, plain or compressed with gzip or zstd, or is a Parquet file or a
    table with the name .csv; - is standard input. Tables that belong together are given together, in any order.
    What the store has is not added again, so an import that was interrupted can be repeated. Works on the store
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
    """An import: rows are read and translated until there is a batch to store.

    Requests that other tables add to wait until all files are read, and feedback until all requests are stored.
    """

    translator: Translator
    import_batch: ImportBatch
    is_strict: bool
    _totals: ImportTotals = field(default_factory=ImportTotals)
    _requests: list[ImportedRequest] = field(default_factory=list)
    _feedback: list[ImportedFeedback] = field(default_factory=list)
    _batch_bytes: int = 0
    _incomplete: RowSpool = field(default_factory=RowSpool)
    _unplaced: RowSpool = field(default_factory=RowSpool)
    _progress: Progress = field(default_factory=Progress)

    async def run(self, names: Sequence[str]) -> ImportTotals:
        with self._incomplete, self._unplaced:
            for name in names:
                rows = (each for row in read_rows(name) for each in self.translator.expand(row))
                await self._take(((name, row) for row in rows), self._sort)
            await self._take(self._incomplete.rows(), self._add_request)
            # Requests first, so that feedback finds those that it is on.
            await self._flush()
            await self._take(self._unplaced.rows(), self._add_feedback)
            await self._flush()
        return self._totals

    async def _take(
        self, rows: Iterator[tuple[str, FileRow]], handle: Callable[[str, FileRow], None]
    ) -> None:
        while not self._is_stopped and (found := next(rows, None)) is not None:
            name, row = found
            try:
                handle(name, row)
            except BadInput as error:
                self._totals.refused += 1
                click.echo(escape_unprintable(f"{name}:{row.line}: {error}"), err=True)
            is_large = self._batch_bytes >= BATCH_BYTES
            if is_large or len(self._requests) + len(self._feedback) >= BATCH_ROWS:
                await self._flush()

    @property
    def _is_stopped(self) -> bool:
        return self.is_strict and self._totals.refused > 0

    def _sort(self, name: str, row: FileRow) -> None:
        self._totals.rows += 1
        if row.fault is not None:
            raise row.fault
        found, kind = self.translator.recognise(row.row)
        if kind is RowKind.REQUEST and found.read_context is None:
            self._add_request(name, row)
            return
        if self._totals.rows % BATCH_ROWS == 0:
            self._report_progress()
        if kind is RowKind.REQUEST:
            self._incomplete.add(name, row)
        elif kind is RowKind.FEEDBACK:
            self._unplaced.add(name, row)
        else:
            if kind is RowKind.CONTEXT:
                self.translator.add_context(row.row)
            self._totals.others += 1

    def _add_request(self, _: str, row: FileRow) -> None:
        request = self.translator.translate(row.row)
        self._totals.requests += 1
        self._requests.append(request)
        self._batch_bytes += len(request.exchange.request_body) + len(request.exchange.response_body)

    def _add_feedback(self, _: str, row: FileRow) -> None:
        given = self.translator.translate_feedback(row.row)
        self._totals.feedback_rows += 1
        self._feedback.append(given)
        self._batch_bytes += len(given.item.raw)

    async def _flush(self) -> None:
        if not self._requests and not self._feedback:
            return
        counts = await self.import_batch(self._requests, self._feedback)
        self._totals.added += counts.requests
        self._totals.feedback += len(_feedback_of(self._requests)) + len(self._feedback)
        self._totals.feedback_added += counts.feedback
        self._requests, self._feedback, self._batch_bytes = [], [], 0
        self._report_progress()

    def _report_progress(self) -> None:
        self._progress.report(lambda: f"{self._totals.rows:,} rows read", self._totals.rows)
