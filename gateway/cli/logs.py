"""`gateway logs`: follow the request log, query it, and show one request."""

import asyncio
import contextlib
import json
import textwrap
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

import click

from gateway.cli import filters
from gateway.cli.options import open_existing_store, pass_store_url
from gateway.cli.output import Column, Table, check_reader, escape_unprintable, format_time, print_lines
from gateway.errors import BadInput, NotFound
from gateway.models import conversation as parts
from gateway.models.clock import now_us
from gateway.models.conversation import Conversation, Part
from gateway.models.exchange import Outcome
from gateway.models.feedback import NO_FEEDBACK, Feedback, FeedbackSummary, Target
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import NANOUSD_PER_USD, RequestRecord
from gateway.query.filters import METADATA_PREFIX, REQUEST_FILTERS
from gateway.query.requests import LoggedRequest, Message, RequestReader, RequestSlice
from gateway.store.base import Queries

# Both take requests, and their feedback by `seq`.
ShowRequests = Callable[[Sequence[RequestRecord], Mapping[int, FeedbackSummary]], None]
FormatRequests = Callable[[Sequence[RequestRecord], Mapping[int, FeedbackSummary]], Iterator[str]]

POLL_SECONDS = 0.5

# Most rows read at a time.
PAGE_ROWS = 500

# Where several machines log to a database server, a row may appear this far behind the newest number, since the
# number is taken before the row is committed.
LOOK_BACK_ROWS = 200

# How long a new row waits for its model and tokens.
GRACE_US = 2_000_000

_OLDEST_FIRST = Sort("seq", descending=False)


async def show_latest(url: str, where: Filter, count: int, show: ShowRequests) -> None:
    async with open_existing_store(url) as store:
        records = await _find_latest(store, where, count)
        show(records, await _feedback_on(store, records))


async def follow_requests(url: str, where: Filter, count: int, show: ShowRequests) -> None:
    """Show the newest `count` rows, then each new row, for ever. `show` is also called without any rows."""
    async with open_existing_store(url) as store:
        recent = await _find_latest(store, NO_FILTER, LOOK_BACK_ROWS)
        last = recent[-1].seq if recent else 0
        before = await _find_latest(store, AllOf((where, Comparison("seq", Op.LE, last))), count)
        show(before, await _feedback_on(store, before))
        async for records in _new_requests(store, where, last, {record.seq for record in recent}):
            show(records, await _feedback_on(store, records))


async def show_matching(url: str, where: Filter, limit: int, show: ShowRequests) -> tuple[str, ...]:
    """Show the newest `limit` rows, the newest first; return the searched keys that no row has."""
    async with open_existing_store(url) as store:
        reader = RequestReader(store)
        cursor: int | None = None
        for start in range(0, limit, PAGE_ROWS):
            found = await reader.find(where, min(PAGE_ROWS, limit - start), cursor, None)
            show(found.records, found.feedback)
            cursor = found.next_cursor
            if cursor is None:
                return found.unknown_keys
    return ()


async def find_by_id(url: str, any_id: str, trace_id: str | None) -> LoggedRequest | RequestSlice:
    """Return the request with an id, or the rows of a trace or session. Raises NotFound or Ambiguous."""
    async with open_existing_store(url) as store:
        reader = RequestReader(store)
        try:
            return await reader.show(any_id, None, trace_id)
        except NotFound as error:
            for name in ("trace_id", "session"):
                found = await reader.find(Comparison(name, Op.EQ, any_id), PAGE_ROWS, None, None)
                if len(found.records) == 1:
                    return await reader.show(found.records[0].request_id, None, found.records[0].trace_id)
                if found.records:
                    return found
            raise NotFound(f"no request, response, trace or session has the id {any_id!r}.") from error


async def _find_latest(store: Queries, where: Filter, count: int) -> list[RequestRecord]:
    return (await store.find_requests(where, Sort(), Page(count), None))[::-1]


async def _feedback_on(store: Queries, records: Sequence[RequestRecord]) -> Mapping[int, FeedbackSummary]:
    return await store.feedback_summaries([record.seq for record in records]) if records else {}


async def _new_requests(
    store: Queries, where: Filter, last: int, seen: set[int]
) -> AsyncIterator[list[RequestRecord]]:
    while True:
        newer = AllOf((where, Comparison("seq", Op.GT, last - LOOK_BACK_ROWS)))
        found = await store.find_requests(newer, _OLDEST_FIRST, Page(LOOK_BACK_ROWS + PAGE_ROWS), None)
        ready = _before_first_pending([record for record in found if record.seq not in seen])
        yield ready
        if ready:
            last = max(last, ready[-1].seq)
            seen |= {record.seq for record in ready}
            seen = {seq for seq in seen if seq > last - LOOK_BACK_ROWS}
        else:
            await asyncio.sleep(POLL_SECONDS)


def _before_first_pending(records: list[RequestRecord]) -> list[RequestRecord]:
    """Return the rows before the first one that still waits for its model and tokens."""
    too_old_us = now_us() - GRACE_US
    for index, record in enumerate(records):
        if record.interpreted_at_us is None and record.ended_at_us > too_old_us:
            return records[:index]
    return records


REQUEST_COLUMNS = (
    Column("TIME (UTC)", 14),
    Column("STATUS", 6, min_width=17),
    Column("MS", 5),
    Column("TOKENS", 7),
    Column("MODEL", 12, min_width=8),
    Column("FEEDBACK", 8, min_width=8),
    Column("REQUEST ID", 36, min_width=36),
)


def request_formatter(output: str) -> FormatRequests:
    """Return the function that formats batches of rows as `table`, `json` or `csv`."""
    if output == "table":
        table = Table(REQUEST_COLUMNS)
        return lambda records, feedback: table.lines(
            _request_cells(record, feedback.get(record.seq, NO_FEEDBACK)) for record in records
        )
    # Imports the web server's library, which takes longer than everything else.
    from gateway.cli.serializers import RequestCsv, request_lines

    return request_lines if output == "json" else RequestCsv().lines


def _request_cells(record: RequestRecord, feedback: FeedbackSummary) -> tuple[str, ...]:
    return (
        format_time(record.started_at_us)[len("2026-") :],
        _status_cell(record),
        f"{(record.ended_at_us - record.started_at_us) / 1000:.0f}",
        _tokens_cell(record),
        record.model or record.requested_model or "-",
        _feedback_cell(feedback),
        record.request_id,
    )


def _feedback_cell(feedback: FeedbackSummary) -> str:
    if not feedback.score.count:
        return "-"
    mean = feedback.score.weighted_mean
    pairs = (f"{pair.value:g}:{pair.weight:g}" for pair in feedback.pairs)
    return " ".join([str(feedback.score.count), "-" if mean is None else f"{mean:+.2f}", *pairs])


def _status_cell(record: RequestRecord) -> str:
    status = "-" if record.status is None else str(record.status)
    return status if record.outcome is Outcome.COMPLETE else f"{status} {record.outcome}"


def _tokens_cell(record: RequestRecord) -> str:
    if record.prompt_tokens is None and record.completion_tokens is None:
        return "-"
    return f"{record.prompt_tokens or 0}+{record.completion_tokens or 0}"


def format_request(logged: LoggedRequest) -> str:
    """Return a request with its fields, messages and feedback; unknown fields are left out."""
    return escape_unprintable("\n".join(_request_lines(logged)))


def _request_lines(logged: LoggedRequest) -> Iterator[str]:
    yield from _record_lines(logged.record)
    yield from conversation_lines(logged.conversation())
    if logged.request is None and logged.response is None:
        yield "\nno payload was kept"
    if logged.request is not None:
        yield from _message_head_lines("request", logged.request)
        yield from _body_lines(logged.request.body)
    if logged.response is not None:
        yield from _message_head_lines("response", logged.response)
        if logged.reassembled is None:
            yield from _body_lines(logged.response.body)
        else:
            yield "\n(the stream as one object; --raw response has the stream itself)"
            yield _format_json(logged.reassembled)
    if logged.feedback:
        yield "\n--- feedback"
        yield from map(_feedback_line, logged.feedback)


def conversation_lines(conversation: Conversation) -> Iterator[str]:
    """Yield a conversation as lines: roles, and below them what was said."""
    if conversation.input or conversation.output:
        yield "\n--- conversation"
    if conversation.tools:
        yield f"tools: {', '.join(tool.name for tool in conversation.tools)}"
    for message in (*conversation.input, *conversation.output):
        yield message.role if message.finish_reason is None else f"{message.role} ({message.finish_reason})"
        for part in message.parts:
            yield textwrap.indent(_describe_part(part), "  ")


def _describe_part(part: Part) -> str:
    match part:
        case parts.Text(content):
            return content
        case parts.Reasoning(content):
            return f"[reasoning] {content or 'hidden by the provider'}"
        case parts.Refusal(content):
            return f"[refusal] {content}"
        case parts.ToolCall(id=call_id, name=name, arguments=arguments):
            return f"[tool call {' '.join(filter(None, (name, call_id)))}] {arguments}"
        case parts.ToolResult(id=call_id, content=content, name=name):
            returned = " ".join(map(_describe_part, content))
            return f"[tool result {' '.join(filter(None, (name, call_id)))}] {returned}"
        case parts.Media(modality, media_type, uri, file_id, size_bytes):
            size = None if size_bytes is None else f"{size_bytes:,} bytes"
            return f"[{', '.join(filter(None, (modality, media_type, uri, file_id, size)))}]"
        case parts.OtherPart(kind):
            return f"[{kind}]"


def _record_lines(record: RequestRecord) -> Iterator[str]:
    for field in fields(record):
        value = getattr(record, field.name)
        if value is not None and value != {}:
            name, text = _display_field(field.name, value)
            yield f"{name:<18} {text}"


def _display_field(name: str, value: object) -> tuple[str, str]:
    if name.endswith("_at_us") and isinstance(value, int):
        return name.removesuffix("_us"), f"{format_time(value)}.{value % 1_000_000:06} UTC"
    if name == "cost_nanousd" and isinstance(value, int):
        return "cost_usd", f"{value / NANOUSD_PER_USD:.9f}"
    if isinstance(value, str):
        return name, str(value)
    return name, json.dumps(value, ensure_ascii=False)


def _message_head_lines(name: str, message: Message) -> Iterator[str]:
    cut = ", cut in the log" if message.is_truncated else ""
    yield f"\n--- {name}, {message.size_bytes:,} bytes{cut}"
    for header, value in message.headers:
        yield f"{_decode_text(header)}: {_decode_text(value)}"


def _body_lines(body: bytes) -> Iterator[str]:
    if not body:
        return
    yield ""
    try:
        yield _format_json(json.loads(body))
    except (ValueError, RecursionError):
        yield _decode_text(body).rstrip("\n")


def _format_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _decode_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def _feedback_line(entry: Feedback) -> str:
    value = "-" if entry.value is None else f"{entry.value:g}"
    comment = f"  {entry.comment}" if entry.comment else ""
    author = f"  by {entry.author}" if entry.author else ""
    via = "" if entry.target is Target.REQUEST else f"  via {entry.target}"
    created = format_time(entry.created_at_us)
    return f"{created}  {entry.kind} {value} × {entry.weight:g}{via}{author}{comment}"


@click.group("logs")
def logs_command() -> None:
    """Show logged requests.

    Reads the store itself, whether or not a gateway runs on it. Times are UTC.
    """


@logs_command.command("tail")
@click.option("-n", "count", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Most rows.")
@click.option("-f", "--follow", "is_endless", is_flag=True, help="Show new rows as they come, until Ctrl-C.")
@click.option("--trace-id", help="Only requests of this trace.")
@filters.json_option
@pass_store_url
def tail(count: int, is_endless: bool, trace_id: str | None, is_json: bool, url: str) -> None:
    """Show the latest requests, the newest last."""
    where = NO_FILTER if trace_id is None else Comparison("trace_id", Op.EQ, trace_id)
    lines = request_formatter(filters.output_format(is_json, is_csv=False))
    read = follow_requests if is_endless else show_latest
    # Ctrl-C is the normal end of --follow.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(read(url, where, count, lambda *found: _print_lines_live(lines(*found))))


@logs_command.command("query")
@click.option("--bad", "rating", flag_value="bad", help="Those whose mean score is below 0.")
@click.option("--good", "rating", flag_value="good", help="Those whose mean score is above 0.")
@filters.filter_options(REQUEST_FILTERS)
@click.option(
    "--metadata", metavar="KEY=VALUE", multiple=True, help="The same as --where metadata.KEY=VALUE."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most rows.")
@filters.json_option
@filters.csv_option
@pass_store_url
def query(
    where: tuple[str, ...],
    metadata: tuple[str, ...],
    limit: int,
    is_json: bool,
    is_csv: bool,
    url: str,
    **criteria: str | None,
) -> None:
    """Find requests, the newest first; all conditions must hold.

    The same search as GET /api/v1/requests.
    """
    pairs = (filters.split_pair(text, "--metadata", "KEY=VALUE") for text in metadata)
    keys = (f"{METADATA_PREFIX}{'='.join(pair)}" for pair in pairs)
    condition = filters.parse_filter(REQUEST_FILTERS, criteria, (*where, *keys))
    lines = request_formatter(filters.output_format(is_json, is_csv))
    unknown = asyncio.run(show_matching(url, condition, limit, lambda *found: print_lines(lines(*found))))
    filters.warn_of_unknown_keys(unknown)


@logs_command.command("show")
@click.argument("any_id", metavar="ID")
@click.option(
    "--raw", type=click.Choice(["request", "response"]), help="Write only this body, byte for byte."
)
@click.option("--trace-id", help="The trace that it is in, where several requests share the id.")
@pass_store_url
def show(any_id: str, raw: str | None, trace_id: str | None, url: str) -> None:
    """Show one request: its row, headers, bodies and feedback.

    ID may be that of the request, of the provider's response, of a trace or of a session. A trace or session of
    several requests is shown as their rows.
    """
    logged = asyncio.run(find_by_id(url, any_id, trace_id))
    if isinstance(logged, RequestSlice):
        if raw is not None:
            count = len(logged.records)
            raise BadInput(f"{any_id!r} has {count} requests; --raw takes the id of one.", field="ID")
        print_lines(request_formatter("table")(logged.records, logged.feedback))
        return
    click.echo(format_request(logged) if raw is None else _raw_body(logged, raw), nl=raw is None)


def _print_lines_live(lines: Iterable[str]) -> None:
    print_lines(lines)
    check_reader()


def _raw_body(logged: LoggedRequest, side: str) -> bytes:
    message = logged.request if side == "request" else logged.response
    if message is None:
        raise NotFound("no payload was kept of this request.")
    return message.wire_body
