"""`gateway logs`: follow the log, search it, and look at one request."""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from gateway.cli import reading
from gateway.cli.criteria import (
    criteria_options,
    filter_of,
    given_format,
    pair_of,
    warn_of_unknown_keys,
)
from gateway.cli.request_page import page
from gateway.cli.request_rows import lines_of
from gateway.cli.sources import config_option, storage_option, storage_url
from gateway.domain.filter import EVERYTHING, Is, Op
from gateway.errors import BadInput, NotFound
from gateway.query import LoggedRequest, Slice
from gateway.query.search import METADATA, REQUESTS

_json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON lines with all fields.")


@click.group("logs")
def command() -> None:
    """Look at logged requests.

    Reads the store itself, whether or not a gateway runs on it. Times are UTC.
    """


@command.command("tail")
@click.option("-n", "count", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Most rows.")
@click.option("-f", "--follow", "is_endless", is_flag=True, help="Go on with new rows, until Ctrl-C.")
@click.option("--trace-id", help="Only requests of this trace.")
@_json_option
@config_option
@storage_option
def tail(
    count: int,
    is_endless: bool,
    trace_id: str | None,
    is_json: bool,
    config_file: Path | None,
    storage: str | None,
) -> None:
    """Show the latest requests, the newest last."""
    where = EVERYTHING if trace_id is None else Is("trace_id", Op.EQ, trace_id)
    url, lines = storage_url(config_file, storage), lines_of(given_format(is_json, is_csv=False))
    read = reading.follow if is_endless else reading.tail
    # Ctrl-C is the way to end what would go on for ever.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(read(url, where, count, lambda *found: _print_live(lines(*found))))


@command.command("query")
@click.option("--bad", "rating", flag_value="bad", help="Those whose mean score is below 0.")
@click.option("--good", "rating", flag_value="good", help="Those whose mean score is above 0.")
@criteria_options(REQUESTS)
@click.option(
    "--metadata", metavar="KEY=VALUE", multiple=True, help="The same as --where metadata.KEY=VALUE."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most rows.")
@_json_option
@click.option("--csv", "is_csv", is_flag=True, help="Print CSV with all fields.")
@config_option
@storage_option
def query(
    where: tuple[str, ...],
    metadata: tuple[str, ...],
    limit: int,
    is_json: bool,
    is_csv: bool,
    config_file: Path | None,
    storage: str | None,
    **criteria: str | None,
) -> None:
    """Find requests, the newest first; all conditions must hold.

    The same search as that of GET /api/v1/requests.
    """
    keys = (f"{METADATA}{'='.join(pair_of(text, '--metadata', 'KEY=VALUE'))}" for text in metadata)
    asked = filter_of(REQUESTS, criteria, (*where, *keys))
    url, lines = storage_url(config_file, storage), lines_of(given_format(is_json, is_csv))
    unknown = asyncio.run(reading.query(url, asked, limit, lambda *found: _print(lines(*found))))
    warn_of_unknown_keys(unknown)


@command.command("show")
@click.argument("any_id", metavar="ID")
@click.option(
    "--raw", type=click.Choice(["request", "response"]), help="Write only this body, byte for byte."
)
@click.option("--trace-id", help="The trace that it is in, where several requests share the id.")
@config_option
@storage_option
def show(
    any_id: str, raw: str | None, trace_id: str | None, config_file: Path | None, storage: str | None
) -> None:
    """Show one request: its row, headers, bodies and feedback.

    ID may be that of the request, of the provider's response, of a trace or of a session. A trace or session of
    several requests is shown as their rows.
    """
    logged = asyncio.run(reading.show(storage_url(config_file, storage), any_id, trace_id))
    if isinstance(logged, Slice):
        if raw is not None:
            count = len(logged.records)
            raise BadInput(f"{any_id!r} has {count} requests; --raw takes the id of one.", field="ID")
        _print(lines_of("table")(logged.records, logged.feedback))
        return
    click.echo(page(logged) if raw is None else _body(logged, raw), nl=raw is None)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_live(lines: Iterable[str]) -> None:
    """Print, and raise BrokenPipeError where the reader is gone, though there was nothing to print."""
    _print(lines)
    output = select.poll()
    output.register(sys.stdout, 0)  # which leaves hang-ups and errors
    if output.poll(0):
        raise BrokenPipeError


def _body(logged: LoggedRequest, side: str) -> bytes:
    message = logged.request if side == "request" else logged.response
    if message is None:
        raise NotFound("no payload was kept of this request.")
    return message.wire_body
