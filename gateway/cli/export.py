"""`gateway export`: requests with their feedback as a file, on standard output, or as a file that grows."""

import asyncio
import contextlib
import os
import sys
import tempfile
import zipfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from gateway.cli import filters
from gateway.cli.options import open_existing_store, pass_store_url
from gateway.cli.output import check_reader
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportFile, ExportReader
from gateway.datasets.registry import FORMATS
from gateway.datasets.row_process import Helping
from gateway.models.clock import now_us, parse_time_us
from gateway.models.filters import Comparison, FeedbackFilter, Filter, Not, Op, Page
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.requests import NEWEST_FIRST, find_unknown_request_keys
from gateway.query.tail import LogFrontier
from gateway.store import READ_ONCE_CACHE_KIB, open_store
from gateway.store.base import Store

POLL_SECONDS = 0.5

# Conditions on what comes after a request was logged.
_LATER_FIELDS = frozenset(
    {
        "is_judged",
        "has_feedback",
        "mean_score",
        "mean_counted_score",
        "is_reviewed",
        "reviewed_by",
        "reserved_by",
    }
)
_LATER_PREFIXES = ("is_matched_by.", "is_queued_by.", "is_added_to.")
_MOST_ROWS = 2**62

Write = Callable[[bytes], object]


@click.command("export")
@click.option(
    "-f", "--format", "format_name", type=click.Choice(list(FORMATS)), default="jsonl", show_default=True,
    help="Format of the file.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write, whole or not."
)
@click.option("--force", is_flag=True, help="Replace the file where it exists.")
@click.option("--follow", is_flag=True, help="Go on with new requests until Ctrl-C (jsonl, csv).")
@click.option(
    "--settle", metavar="AGE", default="0s", show_default=True,
    help="With --follow: write a request once it was logged so long ago, with its feedback until then; 30m.",
)  # fmt: skip
@click.option("--bad", "rating", flag_value="bad", help="Requests whose mean score is below 0.")
@click.option("--good", "rating", flag_value="good", help="Requests whose mean score is above 0.")
@click.option("--dataset", metavar="NAME[@VERSION]", help="Requests of a dataset, in the place of filters.")
@filters.filter_options(REQUEST_FILTERS)
@click.option("--limit", type=click.IntRange(min=1), help="Most requests, the oldest first.")
@click.option(
    "--min-weight", type=click.FloatRange(min=0), help="Least weight of the scored feedback on a request."
)
@click.option("--min-people", type=click.IntRange(min=0), help="Least authors of the feedback on a request.")
@click.option(
    "--all-in-trace", is_flag=True, help="Training: feedback on a trace is for each of its requests."
)
@click.option(
    "--option", metavar="NAME=VALUE", multiple=True, help="An option of the format; @FILE reads its value."
)
@pass_store_url
def export_command(
    format_name: str,
    output: Path | None,
    force: bool,
    follow: bool,
    settle: str,
    dataset: str | None,
    where: tuple[str, ...],
    limit: int | None,
    min_weight: float | None,
    min_people: int | None,
    all_in_trace: bool,
    option: tuple[str, ...],
    url: str,
    **criteria: str | None,
) -> None:
    """Write requests with their feedback, the oldest first.

    For example: gateway export --bad --since 7d --where metadata.team=support -o bad.jsonl
    """
    given = {"format": format_name, "all_in_trace": str(all_in_trace).lower()}
    numbers = {"limit": limit, "min_weight": min_weight, "min_people": min_people}
    given |= {} if dataset is None else {"dataset": dataset}
    given |= {name: f"{number:.15g}" for name, number in numbers.items() if number is not None}
    pairs = [*filters.given_flags(criteria), *(filters.split_pair(text) for text in where)]
    pairs += [_read_option(text) for text in option]
    for name, text in pairs:
        if name in given:
            raise click.BadParameter(f"{name} is given twice.", param_hint=f"--{name.replace('_', '-')}")
        given[name] = text
    query = ExportQuery.read(given)
    _check_output(query, output, is_forced=force)
    if follow:
        seconds = _follow_seconds(query, settle)
        # Ctrl-C is the normal end.
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(follow_log(url, query, output, seconds))
    else:
        asyncio.run(_export(url, query, output, is_forced=force))


def _read_option(text: str) -> tuple[str, str]:
    """Return an option's name and value, which `@FILE` reads from a file. Raises click.UsageError."""
    name, value = filters.split_pair(text, "--option")
    if not value.startswith("@"):
        return name, value
    try:
        return name, Path(value[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value[1:]} cannot be read: {error}.", param_hint="--option") from None


def _check_output(query: ExportQuery, output: Path | None, *, is_forced: bool) -> None:
    is_archive = query.file_format.is_archive(query.options)
    if output is None and (is_archive or query.file_format.name == "parquet") and sys.stdout.isatty():
        raise click.UsageError("this is no text: name a file with --output.")
    if is_archive and output is not None and output.suffix not in ("", ".zip"):
        names = f"{output.with_suffix('.zip')}, or {output.with_suffix('')} for a folder"
        raise click.UsageError(f"these options make several files: name the output {names}.")
    if output is not None and output.exists() and not is_forced:
        raise click.UsageError(f"{output} exists; --force replaces it.")


def _follow_seconds(query: ExportQuery, settle: str) -> float:
    """Return how old a request must be to be written. Raises click.UsageError."""
    if not query.file_format.can_follow:
        names = ", ".join(each.name for each in FORMATS.values() if each.can_follow)
        raise click.UsageError(f"--follow takes a format that can grow: {names}.")
    if query.limit is not None or query.dataset is not None or "to" in query.given:
        raise click.UsageError("--follow has no end: leave out --limit, --until and --dataset.")
    try:
        seconds = (now_us() - parse_time_us(settle)) / 1_000_000
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--settle") from None
    is_later = query.min_weight or query.min_people or _is_later(query.where)
    if is_later and seconds < 1:
        raise click.UsageError(
            "feedback and rules come after a request: with these filters --follow needs --settle, such as 30m."
        )
    return max(seconds, 0.0)


def _is_later(where: Filter) -> bool:
    if isinstance(where, FeedbackFilter):
        return True
    if isinstance(where, Comparison):
        return where.field in _LATER_FIELDS or where.field.startswith(_LATER_PREFIXES)
    return any(map(_is_later, (where.part,) if isinstance(where, Not) else where.parts))


async def _export(url: str, query: ExportQuery, output: Path | None, *, is_forced: bool) -> None:
    # One that prepares and one that writes: each more keeps memory of its own for what it once held.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    async with open_existing_store(url, is_read_once=True) as store:
        helping = Helping(partial(open_store, url, cache_kib=READ_ONCE_CACHE_KIB), is_alone=False)
        async with ExportReader(store, helping).open(query, None) as file:
            is_archive = query.file_format.is_archive(query.options)
            whole = _whole_folder if is_archive and output is not None and not output.suffix else _whole_file
            with whole(output, is_forced=is_forced) as target:
                async for data in _with_progress(store, query, file):
                    target.write(data)
        await _report(store, query, file, output)


async def _with_progress(store: Store, query: ExportQuery, file: ExportFile) -> AsyncIterator[bytes]:
    if not sys.stderr.isatty():
        async for data in file.chunks():
            yield data
        return
    number = await store.count_requests(
        query.where, Page(query.limit or _MOST_ROWS), None, in_background=True
    )
    done = 0
    with click.progressbar(length=number, label="requests", file=sys.stderr, show_pos=True) as bar:
        async for data in file.chunks():
            bar.update(file.progress.rows_done - done)
            done = file.progress.rows_done
            yield data


async def _report(store: Store, query: ExportQuery, file: ExportFile, output: Path | None) -> None:
    counts = file.counts
    if not file.progress.rows_done:
        click.echo("No request matches.", err=True)
        filters.warn_of_unknown_keys(await find_unknown_request_keys(store, query.where, None))
    elif output is not None or counts.left_out:
        reasons = "".join(f"; left out, {reason}: {number:,}" for reason, number in counts.left_out.items())
        click.echo(f"{counts.written:,} rows of {file.progress.rows_done:,} requests{reasons}", err=True)


@contextmanager
def _whole_file(output: Path | None, *, is_forced: bool) -> Iterator[BinaryIO]:
    """Write to a file that has its name only once it is whole; None: standard output."""
    if output is None:
        yield sys.stdout.buffer
        return
    # Beside it, since it can be renamed only on the same file system.
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if is_forced:
            os.replace(name, output)
        else:
            _link(name, output)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _whole_folder(output: Path | None, *, is_forced: bool) -> Iterator[BinaryIO]:
    """Unpack an archive into a new folder once it is whole."""
    assert output is not None
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as folder:
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
            with zipfile.ZipFile(file) as archive:
                archive.extractall(Path(folder, output.name))
        try:
            Path(folder, output.name).rename(output)
        except OSError:
            raise click.UsageError(f"{output} exists: name a new folder.") from None


def _link(name: str, output: Path) -> None:
    # A link fails where the file has appeared meanwhile; a rename would replace it.
    try:
        os.link(name, output)
    except FileExistsError:
        raise click.UsageError(f"{output} exists; --force replaces it.") from None
    except OSError:
        # Some file systems have no links.
        os.replace(name, output)


@dataclass(slots=True)
class _Settled:
    """How far requests were logged so long ago that they are written."""

    seconds: float
    position: int
    _passed: deque[tuple[float, int]]

    @classmethod
    async def begin(cls, store: Store, seconds: float) -> "_Settled":
        before_us = now_us() - int(seconds * 1_000_000)
        is_old = Comparison("interpreted_at_us", Op.LE, before_us)
        found = await store.find_requests(is_old, NEWEST_FIRST, Page(1), None)
        return cls(seconds, found[0].seq if found and seconds else 0, deque())

    def advance(self, frontier: int) -> int:
        """Return the position up to which requests are written now."""
        now = asyncio.get_running_loop().time()
        self._passed.append((now, frontier))
        while self._passed and self._passed[0][0] <= now - self.seconds:
            self.position = max(self.position, self._passed.popleft()[1])
        return min(self.position, frontier)


@asynccontextmanager
async def _growing_file(output: Path | None) -> AsyncIterator[Write]:
    if output is None:
        yield _write_live
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        yield file.write


def _write_live(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def follow_log(url: str, query: ExportQuery, output: Path | None, seconds: float) -> None:
    """Write requests as they come, until it is cancelled."""
    async with (
        open_existing_store(url) as store,
        ExportReader(store).open(query, None) as file,
        _growing_file(output) as write,
    ):
        # No row can appear any more before the frontier, so that none is missed or written twice.
        frontier = LogFrontier(store)
        settled = await _Settled.begin(store, seconds)
        while True:
            await frontier.advance()
            file.last_seq = settled.advance(frontier.position)
            if file.last_seq > file.position:
                async for data in file.rows():
                    write(data)
            if output is None:
                check_reader()
            await asyncio.sleep(POLL_SECONDS)
