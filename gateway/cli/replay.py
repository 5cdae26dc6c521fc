"""`gateway replay`: send logged conversations again to another target, or answer from what is logged."""

import asyncio
import contextlib
import fcntl
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import click
import httpx
import orjson

from gateway.cli import filters
from gateway.cli.options import MAX_NAME, open_existing_store, pass_store_url, run_on_store
from gateway.cli.output import Column, Table, print_lines
from gateway.client.gateway_client import DEFAULT_URL
from gateway.errors import BadInput, Conflict
from gateway.models.exchange import RawHeaders
from gateway.models.filters import Filter
from gateway.models.ids import content_id
from gateway.models.request import NANOUSD_PER_USD, RequestRecord
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.replay import (
    REQUEST_KEY,
    ROW_KEY,
    RUN_KEY,
    Replayable,
    ReplayComparison,
    ReplayReader,
    is_answered,
    replay_id,
    why_not_replayable,
)
from gateway.query.statistics import Estimate
from gateway.store.base import Store

DEFAULT_PORT = 8788
# Seconds without a byte of an answer.
_READ_SECONDS = 600.0
# How long a row may take to be stored once its answer has come, and whether an earlier run left one at all.
_ROW_SECONDS, _LEFT_ROW_SECONDS = 30.0, 3.0
# By how much the cost of an answer may outdo the worst that was seen.
_MARGIN = 2.0
_FIRST_LOOKS, _LOOK_SECONDS = (0.005, 0.01, 0.02), 0.05

# In answers to what was sent to a provider.
_PROVIDER_FIELD = "x-portkey-provider"
_MAX_SHOWN = 500

# What of the original's head is sent again: how its body is to be read. Its other fields were its caller's.
_SENT_AGAIN = frozenset({b"accept", b"content-type", b"content-encoding"})
_SENT_PREFIXES = (b"anthropic-version", b"anthropic-beta", b"openai-beta")

_COLUMNS = (
    Column("MEASURE", 18), Column("PAIRS", 5), Column("ORIGINAL", 10), Column("ANSWER", 10),
    Column("DIFFERENCE (95 %)", 30),
)  # fmt: skip


@click.command("replay")
@click.option(
    "--against", metavar="ROUTE|@PROVIDER[/MODEL]|JSON", help="Where to send them: as x-portkey-config."
)
@click.option("--name", metavar="NAME", help="Name of the replay; under the same name it goes on.")
@click.option("--url", "gateway_url", default=DEFAULT_URL, show_default=True, help="The running gateway.")
@click.option("--api-key", envvar="GATEWAY_API_KEY", help="A key with the role proxy; or GATEWAY_API_KEY.")
@click.option(
    "--budget", type=click.FloatRange(0, min_open=True), metavar="USD", help="Stop before it is passed."
)
@click.option("--per-minute", type=click.FloatRange(0, min_open=True), help="Most requests a minute.")
@click.option(
    "--parallel", type=click.IntRange(1, 256), default=4, show_default=True, help="Conversations at a time."
)
@click.option("--limit", type=click.IntRange(1), help="Most requests, in whole conversations.")
@click.option(
    "--mirror", metavar="ROUTE", help="Compare what the mirror of a route answered; nothing is sent."
)
@click.option("--serve", "is_server", is_flag=True, help="Answer requests with the answers that are logged.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="With --serve."
)
@filters.filter_options(REQUEST_FILTERS)
@filters.json_option
@pass_store_url
def replay_command(
    against: str | None,
    name: str | None,
    gateway_url: str,
    api_key: str | None,
    budget: float | None,
    per_minute: float | None,
    parallel: int,
    limit: int | None,
    mirror: str | None,
    is_server: bool,
    port: int,
    where: tuple[str, ...],
    is_json: bool,
    url: str,
    **criteria: str | None,
) -> None:
    """Send logged conversations again, whole and in order, to another target, and compare the answers.

    They go through a running gateway, which logs the answers with the metadata replay and replay_of. A replay that
    was interrupted goes on where it was; each request is answered once. With --serve nothing is sent: a server
    gives the logged answers byte for byte to the same requests, and says how others differ.
    """  # fmt: skip
    condition = filters.parse_filter(REQUEST_FILTERS, criteria, where)
    if is_server:
        asyncio.run(_serve(url, condition, port))
        return
    if mirror is not None:
        compared = run_on_store(url, lambda store: ReplayReader(store).compare_mirror(mirror, condition))
    elif against is not None:
        run = name or against
        if not (0 < len(run) <= MAX_NAME and run.isprintable()):
            raise BadInput(f"must be 1 to {MAX_NAME} printable characters.", field="--name")
        sender = _Sender(gateway_url, api_key, against, run, _Pace(per_minute))
        compared = asyncio.run(_replay(url, condition, limit, sender, budget, parallel))
    else:
        raise click.UsageError("Missing option '--against', '--mirror' or '--serve'.")
    if is_json:
        click.echo(orjson.dumps(asdict(compared)).decode())
    else:
        print_lines(_report(compared))


def config_of(against: str) -> str:
    """Return a target as x-portkey-config. Raises BadInput."""
    if not against.startswith("@"):
        return against
    provider, _, model = against[1:].partition("/")
    if not provider:
        raise BadInput("must name a provider behind @.", field="--against")
    target: dict[str, Any] = {"provider": provider}
    if model:
        target["override_params"] = {"model": model}
    return orjson.dumps(target).decode()


@dataclass(slots=True)
class _Pace:
    """Lets requests begin so many times a minute."""

    per_minute: float | None
    _next: float = 0.0

    async def wait(self) -> None:
        if self.per_minute is None:
            return
        at = asyncio.get_running_loop().time()
        begins_at = max(at, self._next)
        self._next = begins_at + 60 / self.per_minute
        await asyncio.sleep(begins_at - at)


@dataclass(slots=True)
class _Sender:
    """Sends requests to a gateway as parts of a replay."""

    gateway_url: str
    api_key: str | None
    against: str
    run: str
    pace: _Pace
    _http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        own = {"x-portkey-config": config_of(self.against)}
        if self.api_key:
            own["x-portkey-api-key"] = self.api_key
        timeout = httpx.Timeout(_READ_SECONDS, connect=10.0)
        self._http = httpx.AsyncClient(base_url=self.gateway_url, headers=own, timeout=timeout)

    async def send(self, record: RequestRecord, headers: RawHeaders, body: bytes) -> None:
        """Send a request, and return once its answer is whole or has failed."""
        await self.pace.wait()
        metadata = {RUN_KEY: self.run, REQUEST_KEY: record.request_id, ROW_KEY: record.seq}
        if record.session is not None:
            metadata["_session"] = content_id(f"{self.run}\0{record.session}".encode())
        fields = [(name, text) for name, text in headers if _is_sent_again(name.lower())]
        fields += [
            (b"helicone-request-id", replay_id(self.run, record.seq).encode()),
            (b"x-portkey-trace-id", content_id(f"{self.run}\0{record.trace_id}".encode()).encode()),
            (b"x-portkey-metadata", orjson.dumps(metadata)),
        ]
        try:
            async with self._http.stream(
                "POST", record.path_at_provider, content=body, headers=fields
            ) as response:
                await _read_whole(response)
        except httpx.TransportError as error:
            message = str(error) or type(error).__name__
            raise click.ClickException(
                f"{self.gateway_url} cannot be reached or broke off: {message}"
            ) from None

    async def __aenter__(self) -> "_Sender":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


def _is_sent_again(name: bytes) -> bool:
    return name in _SENT_AGAIN or name.startswith(_SENT_PREFIXES)


async def _read_whole(response: httpx.Response) -> None:
    body = b"".join([piece async for piece in response.aiter_raw()])
    if response.status_code >= HTTPStatus.BAD_REQUEST and _PROVIDER_FIELD not in response.headers:
        # No provider was asked, so there is no row, and the next request would fare as badly.
        said = body[:_MAX_SHOWN].decode(errors="replace")
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
            said = str(orjson.loads(body)["error"]["message"])
        raise click.ClickException(f"the gateway refused a request with {response.status_code}: {said}")


class _BegunRequests:
    """Which requests were begun, in a file that outlives this process."""

    def __init__(self, run: str) -> None:
        self.path = Path(f"gateway-replay-{replay_id(run, 0)}.begun")

    @contextlib.contextmanager
    def open(self) -> Iterator[set[int]]:
        """Yield the rows that were begun before. Raises Conflict while another process has the replay."""
        with self.path.open("a+b") as self._file:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict("another process is at this replay.", field="--name") from None
            self._file.seek(0)
            yield {int(line) for line in self._file.read().split(b"\n") if line.isdigit()}

    def note(self, row: int) -> None:
        self._file.write(b"%d\n" % row)
        self._file.flush()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


async def _replay(
    url: str, where: Filter, limit: int | None, sender: _Sender, budget: float | None, parallel: int
) -> ReplayComparison:
    begun = _BegunRequests(sender.run)
    async with open_existing_store(url) as store, sender:
        reader = ReplayReader(store)
        with begun.open() as begun_before:
            conversations = await reader.conversations(where, limit)
            replay = _Replay(store, reader, sender, begun, budget)
            await replay.prepare(begun_before, conversations)
            if await replay.run(conversations, parallel):
                begun.remove()
        return await reader.compare(sender.run)


@dataclass(slots=True)
class _Replay:
    """A replay under way.

    Args:
        budget: in US dollars; a request is sent only while it holds the most that all under way may cost.
    """

    store: Store
    reader: ReplayReader
    sender: _Sender
    begun: _BegunRequests
    budget: float | None
    skipped: Counter[str] = field(default_factory=Counter)
    _answers: dict[int, RequestRecord] = field(default_factory=dict)
    _spent: int = 0
    # What an answer has cost at most, and how many times as much as its original.
    _dearest: int = 0
    _ratio: float = 0.0
    # By row, what requests under way may cost.
    _reserved: dict[int, float] = field(default_factory=dict)
    _has_first: asyncio.Event = field(default_factory=asyncio.Event)
    _is_out_of_budget: bool = False

    async def prepare(self, begun_before: set[int], conversations: Sequence[Replayable]) -> None:
        """Find out what an earlier run has done."""
        for row in begun_before:
            # It may have been stopped a moment ago, and the row of its last requests be on the way.
            await self._rows_of(row, _LEFT_ROW_SECONDS)
        self._answers = await self.reader.answers(self.sender.run)
        self._spent = await self.reader.spent_nanousd(self.sender.run)
        self._dearest = max((each.cost_nanousd or 0 for each in self._answers.values()), default=0)
        for record in (record for each in conversations for record in each.requests):
            if record.cost_nanousd and (answer := self._answers.get(record.seq)) is not None:
                self._ratio = max(self._ratio, (answer.cost_nanousd or 0) / record.cost_nanousd)
        if self._dearest or self.budget is None:
            self._has_first.set()

    async def run(self, conversations: Sequence[Replayable], parallel: int) -> bool:
        """Send what is not answered yet; tell whether nothing is left."""
        number = sum(len(each.requests) for each in conversations)
        left = iter(conversations)
        with click.progressbar(length=number, label="requests", file=sys.stderr, show_pos=True) as bar:

            async def work() -> None:
                for conversation in left:
                    for record in conversation.requests:
                        if self._is_out_of_budget or not await self._repeat(record):
                            return
                        bar.update(1)

            try:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(parallel):
                        workers.create_task(work())
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
        for reason, count in self.skipped.items():
            click.echo(f"{count:,} requests were not sent: {reason}.", err=True)
        if self._is_out_of_budget:
            spent = self._spent / NANOUSD_PER_USD
            click.echo(f"stopped at ${spent:.6f}, before the budget is passed.", err=True)
        return not self._is_out_of_budget

    async def _repeat(self, record: RequestRecord) -> bool:
        """Send a request unless it was answered before; False where the budget does not hold it."""
        if (earlier := self._answers.get(record.seq)) is not None and is_answered(earlier):
            return True
        payload = await self.store.payload(record.seq)
        reason = why_not_replayable(payload)
        if payload is None or reason is not None:
            self.skipped[str(reason)] += 1
            return True
        if not self._has_first.is_set() and self._reserved:
            # What an answer costs shows with the first.
            await self._has_first.wait()
        most = self._most(record)
        if self.budget is not None and (
            self._spent + math.fsum(self._reserved.values()) + most > self.budget * NANOUSD_PER_USD
        ):
            self._is_out_of_budget = True
            return False
        self._reserved[record.seq] = most
        try:
            self.begun.note(record.seq)
            await self.sender.send(record, payload.request_headers, payload.request_body)
            self._note(record, await self._rows_of(record.seq, _ROW_SECONDS))
        finally:
            del self._reserved[record.seq]
            self._has_first.set()
        return True

    def _most(self, record: RequestRecord) -> float:
        """Return what the next answer may cost: the dearest so far, or twice as often its original's cost."""
        return max(self._dearest, _MARGIN * (self._ratio or 1.0) * (record.cost_nanousd or 0))

    def _note(self, record: RequestRecord, rows: Sequence[RequestRecord]) -> None:
        if self.budget is not None and any(is_answered(row) and row.cost_nanousd is None for row in rows):
            fix = "give its model a price under prices, or leave out --budget."
            raise click.ClickException(f"what an answer of {rows[0].provider} costs is not known: {fix}")
        cost = sum(row.cost_nanousd or 0 for row in rows)
        self._spent += cost
        self._dearest = max(self._dearest, cost)
        if record.cost_nanousd:
            self._ratio = max(self._ratio, cost / record.cost_nanousd)

    async def _rows_of(self, row: int, seconds: float) -> list[RequestRecord]:
        # Rows are stored a moment behind their answers, and a database wakes nobody.
        ends_at = asyncio.get_running_loop().time() + seconds
        for pause in chain(_FIRST_LOOKS, repeat(_LOOK_SECONDS)):
            found = await self.reader.rows_of(replay_id(self.sender.run, row))
            if found or asyncio.get_running_loop().time() > ends_at:
                return found
            await asyncio.sleep(pause)
        raise AssertionError("there is no end of looks")


def _report(compared: ReplayComparison) -> Iterator[str]:
    failed = f", {compared.failed:,} without a good answer" if compared.failed else ""
    yield f"{compared.run}: {compared.pairs:,} pairs{failed}"
    rows = [
        (
            f"{each.measure} ({each.unit})" if each.unit else each.measure,
            f"{each.pairs:,}",
            _number(each.original),
            _number(each.answer),
            _interval(each.difference),
        )
        for each in compared.differences
    ]
    yield from Table(_COLUMNS).lines(rows)
    yield compared.method


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{_number(estimate.value, sign='+')} (one conversation)"
    bounds = f"{_number(estimate.low, sign='+')} to {_number(estimate.high, sign='+')}"
    return f"{_number(estimate.value, sign='+')} ({bounds})"


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign},.4g}"


async def _serve(url: str, where: Filter, port: int) -> None:
    from gateway.server.replay_server import serve_recorded

    async with open_existing_store(url) as store:
        await serve_recorded(store, where, port, click.echo)
