"""Results for people: a table in Markdown for every section of the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.alerts import FalseAlarms, Missed
from benchmarks.bodies import Body
from benchmarks.compare import Added, Row
from benchmarks.experiments import FalseWinners, TrueWinners
from benchmarks.exports import ExportFigures
from benchmarks.filling import Growth
from benchmarks.half_rate import HalfRate
from benchmarks.memory import Reading
from benchmarks.million import Cost
from benchmarks.outages import Outage
from benchmarks.pages import PageFigures, TailFigures
from benchmarks.partitions import Found
from benchmarks.profile import Profile
from benchmarks.questions import Answered
from benchmarks.replays import ReplayProof
from benchmarks.searches import Searched
from benchmarks.slow_streams import SlowStreams
from benchmarks.soak import Kept
from benchmarks.storing import Stored
from benchmarks.streams import Streams
from benchmarks.vitals import Trend, Vitals
from benchmarks.webhooks import WebhookCost
from gateway.query.statistics import Estimate

NOTHING = "–"


def comparison_table(rows: Sequence[Row]) -> str:
    """Return the comparison, a line for each case and contestant."""
    head = ("load", "through", "CPU-µs a request", "requests/s", "p50 ms", "p99 ms", "RSS MiB")
    return table(head, [_comparison_line(row) for row in rows])


def _comparison_line(row: Row) -> tuple[str, ...]:
    figures = row.median
    is_measured = figures.rss_mib > 0
    return (
        row.case,
        row.contestant,
        f"{figures.cpu_us:,.0f}" if is_measured else NOTHING,
        f"{figures.requests_per_second:,.0f}",
        ms(figures.p50_us),
        ms(figures.p99_us),
        f"{figures.rss_mib:,.0f}" if is_measured else NOTHING,
    )


def added_table(rows: Sequence[Added]) -> str:
    """Return what is added for a single caller."""
    lines = [(row.contestant, ms(row.p50_us), ms(row.p99_us)) for row in rows]
    return table(("through", "added p50 ms", "added p99 ms"), lines, names=1)


def half_rate_table(rows: Sequence[HalfRate]) -> str:
    """Return what is added at half of what each can do."""
    head = ("through", "requests/s", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms")
    return table(head, [_half_rate_line(row) for row in rows], names=1)


def _half_rate_line(row: HalfRate) -> tuple[str, ...]:
    return (
        row.contestant,
        f"{row.requests_per_second:,.0f}",
        ms(row.through.p50_us),
        ms(row.through.p99_us),
        ms(row.added.p50_us),
        ms(row.added.p99_us),
    )


def streams_table(rows: Sequence[Streams]) -> str:
    """Return what events cost and how late they are, a line for each number of streams and contestant."""
    head = (
        "streams at once", "through", "CPU-µs an event", "first event p50 ms", "p99 ms", "late p50 ms", "p99 ms",
    )  # fmt: skip
    return table(head, [_streams_line(row) for row in rows])


def _streams_line(row: Streams) -> tuple[str, ...]:
    return (
        f"{row.at_once:,}",
        row.contestant,
        f"{row.cpu_us_an_event:,.0f}" if row.cpu_us_an_event else NOTHING,
        ms(row.first_event_p50_us),
        ms(row.first_event_p99_us),
        ms(row.delay_p50_us),
        ms(row.delay_p99_us),
    )


def slow_streams_table(rows: Sequence[SlowStreams]) -> str:
    """Return what each of many slow streams holds, and how late events are."""
    head = ("through", "KiB a stream", "of that to be logged", "event late p99 ms", "latest ms")
    lines = [
        (
            row.contestant,
            f"{row.kib_a_stream:,.1f}" if row.kib_a_stream else NOTHING,
            f"{row.logged_kib_a_stream:,.1f}" if row.logged_kib_a_stream else NOTHING,
            ms(row.delay_p99_us),
            ms(row.longest_us),
        )
        for row in rows
    ]
    return table(head, lines, names=1)


def bodies_table(rows: Sequence[Body]) -> str:
    """Return what a request costs by its length, a line for each length and contestant."""
    lines = [(f"{row.size:,}", row.contestant, f"{row.cpu_us:,.0f}", ms(row.p50_us)) for row in rows]
    return table(("bytes", "through", "CPU-µs a request", "p50 ms"), lines)


def storing_table(rows: Sequence[Stored]) -> str:
    """Return how quickly things are written."""
    lines = [(row.what, f"{row.at_once:,}", f"{row.per_second:,.0f}", f"{row.cpu_us:,.0f}") for row in rows]
    return table(("what", "at once", "a second", "CPU-µs each"), lines, names=1)


def growth_table(rows: Sequence[Growth]) -> str:
    """Return how quickly requests are written by how many are there."""
    lines = [(f"{row.rows:,}", f"{row.rows_per_second:,.0f}", f"{row.cpu_us_a_row:,.0f}") for row in rows]
    return table(("requests in the store", "more a second", "CPU-µs each"), lines, names=0)


def questions_table(rows: Sequence[Answered]) -> str:
    """Return how long each kind of question took."""
    lines = [(row.question, f"{row.median_ms:,.1f}", f"{row.worst_ms:,.1f}") for row in rows]
    return table(("question", "median ms", "slowest ms"), lines, names=1)


def pages_table(rows: Sequence[PageFigures]) -> str:
    """Return how long each page takes and how large it is."""
    lines = [
        (
            f"`{row.page}`",
            f"{row.first_ms:,.0f}",
            f"{row.median_ms:,.0f}",
            f"{row.p95_ms:,.0f}",
            f"{row.cpu_ms:,.0f}",
            f"{row.sent_bytes / 1000:,.1f}",
            f"{row.shown_bytes / 1000:,.1f}",
        )
        for row in rows
    ]
    head = ("page", "first ms", "median ms", "p95 ms", "CPU ms", "kB compressed", "kB")
    return table(head, lines, names=1)


def tail_table(rows: Sequence[TailFigures]) -> str:
    """Return what readers of the live tail cost."""
    lines = [
        (
            f"{row.readers}",
            ms(row.times.p50_us),
            ms(row.times.p99_us),
            f"{row.cpu_us:,.0f}",
            f"{row.events:,}",
        )
        for row in rows
    ]
    return table(("readers", "p50 ms", "p99 ms", "CPU-µs a request", "events received"), lines, names=0)


def searches_table(rows: Sequence[Searched]) -> str:
    """Return what became of searches, a column for each store."""
    figures: dict[str, Callable[[Searched], str]] = {
        **{
            f"a search by itself, conditions on bodies: {number}": lambda row, number=number: row.seconds[
                number
            ]  # type: ignore[misc]
            for number in rows[0].seconds
        },
        "a list of the newest by itself, median": lambda row: f"{row.list_ms:,.0f} ms",
        "… the slowest while all searches are under way": lambda row: f"{row.worst_list_ms:,.0f} ms",
        "one search more is refused with 503 after": lambda row: f"{row.refused_s:,.1f} s",
        "at rest after the callers have left": lambda row: f"{row.rest_s:,.1f} s",
        "CPU in the third second after that": lambda row: f"{row.late_cpu_s:,.2f} s",
        "statements in the database's server then": lambda row: f"{row.statements}",
        "RSS before, and after three times that": lambda row: (
            f"{row.rss_mib[0]:,.0f}, {row.rss_mib[1]:,.0f} MiB"
        ),
        "SIGTERM to exit, searches under way": lambda row: f"{row.exit_s[0]:,.1f} s",
        "SIGTERM to exit, callers gone": lambda row: f"{row.exit_s[1]:,.1f} s",
    }
    lines = [(what, *map(read, rows)) for what, read in figures.items()]
    return table(("what", *(row.store for row in rows)), lines, names=1)


def memory_table(rows: Sequence[Reading]) -> str:
    """Return what memory was used after how many requests."""
    lines = [(f"{row.requests:,}", f"{row.rss_mib:,.1f}") for row in rows]
    return table(("requests served", "RSS MiB"), lines, names=0)


def soak_table(rows: Sequence[Vitals]) -> str:
    """Return what a gateway took at rest, in each tenth of the load, and at rest again."""
    head = (
        "s", "RSS MiB", "descriptors", "threads", "tasks", "in flight", "connections to providers",
        "rows waiting", "stalls > 100 ms", "WAL MiB", "journal MiB",
    )  # fmt: skip
    before, *looks, after = rows
    shown = [before, *looks[:: max(len(looks) // 10, 1)], after]
    return table(head, [_soak_line(row) for row in shown], names=0)


def _soak_line(row: Vitals) -> tuple[str, ...]:
    counts = (
        row.descriptors, row.threads, row.tasks, row.in_flight, row.connections, row.queue, row.stalls,
    )  # fmt: skip
    files = (row.wal_mib, row.journal_mib)
    return (
        f"{row.at_s:,.0f}",
        f"{row.rss_mib:,.1f}",
        *(f"{count:,}" for count in counts),
        *(f"{size:,.1f}" for size in files),
    )


def trends_table(rows: Sequence[Trend]) -> str:
    """Return what grew in the second half, and what did not."""
    head = ("in the second half", "least", "most", "rise an hour", "flat")
    lines = [
        (
            row.what,
            f"{row.low:,.1f}",
            f"{row.high:,.1f}",
            f"{row.an_hour:+,.1f}",
            "yes" if row.is_flat else "**no**",
        )
        for row in rows
    ]
    return table(head, lines, names=1)


def kept_table(rows: Sequence[Kept]) -> str:
    """Return what callers know of and what was kept."""
    lines = [(row.what, f"{row.known:,}", f"{row.stored:,}", f"{row.lost:,}") for row in rows]
    return table(("what", "known to callers", "in the store", "lost"), lines, names=1)


def million_table(rows: Sequence[Cost]) -> str:
    """Return what a million of each costs with each store."""
    head = (
        "store", "a million", "a second", "CPU s, gateway", "CPU s, database", "GiB on the disk", "GiB of its log",
    )  # fmt: skip
    lines = [
        (
            row.store,
            row.what,
            f"{row.per_second:,.0f}",
            f"{row.gateway_cpu_s:,.0f}",
            f"{row.database_cpu_s:,.0f}" if row.database_cpu_s else NOTHING,
            f"{row.disk_bytes / 2**30:,.2f}",
            f"{row.log_bytes / 2**30:,.2f}" if row.log_bytes else NOTHING,
        )
        for row in rows
    ]
    return table(head, lines)


def partitions_table(rows: Sequence[Found]) -> str:
    """Return how long questions take, a column for each number of partitions."""
    days = list(dict.fromkeys(row.days for row in rows))
    head = ("milliseconds to find", *("one table" if number == 1 else f"{number} days" for number in days))
    took = {(row.what, row.days): f"{row.took_ms:,.2f}" for row in rows}
    whats = dict.fromkeys(row.what for row in rows)
    return table(head, [(what, *(took[what, number] for number in days)) for what in whats], names=1)


def profile_text(rows: Sequence[Profile]) -> str:
    """Return the functions that cost most under each load."""
    return "\n\n".join(f"`{row.case}`:\n\n```text\n{row.text}\n```" for row in rows)


def facts_table(facts: Mapping[str, str]) -> str:
    """Return the facts about the machine."""
    return table(("machine", ""), list(facts.items()))


def false_alarms_table(rows: Sequence[FalseAlarms]) -> str:
    """Return how often alerts fired falsely, with the interval of the number a year."""
    head = ("traffic", "test", "years", "false alarms", "a year, 95 %")
    lines = [
        (
            row.scenario,
            row.test,
            f"{row.years:g}",
            f"{row.alarms:,}",
            "{:,.2g} to {:,.2g}".format(*row.interval)
            if row.alarms < 100
            else "{:,.0f} to {:,.0f}".format(*row.interval),
        )
        for row in rows
    ]
    return table(head, lines, names=2)


def missed_table(rows: Sequence[Missed]) -> str:
    """Return which share of incidents was missed, and how long the others took to be found."""
    head = ("incident", "test", "missed", "95 %", "found after, median min")
    lines = [
        (
            row.scenario,
            row.test,
            f"{row.missed / row.incidents:.1%}",
            "{:.1%} to {:.1%}".format(*row.interval),
            NOTHING if row.delay is None else f"{row.delay:g}",
        )
        for row in rows
    ]
    return table(head, lines, names=2)


def replays_table(rows: Sequence[ReplayProof]) -> str:
    """Return what became of requests whose replay was killed."""
    head = ("requests", "kills", "once", "twice", "never", "broken off", "over budget", "spent $", "s")
    lines = [
        (
            f"{row.requests:,}",
            f"{row.kills:,}",
            f"{row.once:,}",
            f"{row.twice:,}",
            f"{row.never:,}",
            f"{row.broken_off:,}",
            f"{row.over_budget:,}",
            f"{row.spent_usd:.4f}",
            f"{row.seconds:,.0f}",
        )
        for row in rows
    ]
    return table(head, lines, names=0)


def webhooks_table(rows: Sequence[WebhookCost]) -> str:
    """Return what requests cost beside a queue of messages."""
    head = ("queue", "CPU-µs a request", "requests/s", "p50 ms", "p99 ms", "messages/s")
    lines = [
        (
            row.state,
            f"{row.cpu_us:,.0f}",
            f"{row.requests_per_second:,.0f}",
            ms(row.p50_us),
            ms(row.p99_us),
            f"{row.messages_per_second:,.0f}",
        )
        for row in rows
    ]
    return table(head, lines, names=1)


def outages_table(rows: Sequence[Outage]) -> str:
    """Return what became of requests while the store was away."""
    head = ("store", "away s", "requests", "requests/s", "RSS MiB at 10 %", "most", "journal MiB",
            "caught up after s", "lost", "doubled", "out of order")  # fmt: skip
    lines = [
        (
            row.store,
            f"{row.seconds:,.0f}",
            f"{row.requests:,}",
            f"{row.requests_per_second:,.0f}",
            f"{row.rss_mib[0]:,.0f}",
            f"{row.rss_mib[1]:,.0f}",
            f"{row.journal_mib:,.0f}",
            f"{row.catch_up_seconds:,.1f}",
            f"{row.lost:,}",
            f"{row.doubled:,}",
            f"{row.out_of_order:,}",
        )
        for row in rows
    ]
    return table(head, lines, names=1)


def exports_table(rows: Sequence[ExportFigures]) -> str:
    """Return what files of all requests took."""
    head = ("export", "s", "CPU s", "peak MiB", "MB")
    lines = [
        (
            row.what,
            f"{row.seconds:,.0f}",
            f"{row.cpu_seconds:,.0f}",
            f"{row.peak_mib:,.0f}",
            f"{row.size_bytes / 1e6:,.0f}",
        )
        for row in rows
    ]
    return table(head, lines, names=1)


def false_winners_table(rows: Sequence[FalseWinners]) -> str:
    """Return how often equal variants had a winner."""
    head = ("votes", "runs", "people", "looks a run", "false winners %", "t test of all votes %")
    lines = [
        (row.world, f"{row.runs:,}", str(row.people), f"{row.looks / row.runs:,.0f}", _percent(row.found),
         _percent(row.naive)) for row in rows
    ]  # fmt: skip
    return table(head, lines, names=1)


def true_winners_table(rows: Sequence[TrueWinners]) -> str:
    """Return what a true difference takes."""
    head = ("means", "runs", "t test at its end", "planned", "median", "found by then %", "wrong %")
    lines = [
        (f"{row.means[0]:g}, {row.means[1]:g}", f"{row.runs:,}", f"{row.fixed:,}", f"{row.planned:,}",
         f"{row.median:,}", _percent(row.found), _percent(row.wrong)) for row in rows
    ]  # fmt: skip
    return table(head, lines, names=1)


def _percent(found: Estimate) -> str:
    low, high = (100 * (each or 0.0) for each in (found.low, found.high))
    return f"{100 * found.value:.2f} [{low:.2f}, {high:.2f}]"


TABLES: Mapping[str, Callable[[Sequence[Any]], str]] = {
    "comparison": comparison_table,
    "added": added_table,
    "half-rate": half_rate_table,
    "streams": streams_table,
    "slow-streams": slow_streams_table,
    "bodies": bodies_table,
    "storing": storing_table,
    "copying": storing_table,
    "growth": growth_table,
    "questions": questions_table,
    "server-growth": growth_table,
    "server-questions": questions_table,
    "searches": searches_table,
    "pages": pages_table,
    "tail": tail_table,
    "replays": replays_table,
    "webhooks": webhooks_table,
    "outages": outages_table,
    "exports": exports_table,
    "experiments-false": false_winners_table,
    "experiments-true": true_winners_table,
    "memory": memory_table,
    "profile": profile_text,
    "million": million_table,
    "partitions": partitions_table,
    "alerts-false": false_alarms_table,
    "alerts-missed": missed_table,
    "soak": soak_table,
    "soak-trends": trends_table,
    "soak-kept": kept_table,
}
"""How the rows of each section are shown."""


def ms(time_us: float) -> str:
    """Return microseconds as milliseconds."""
    return f"{time_us / 1000:,.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]], *, names: int = 2) -> str:
    """Return a table in Markdown, whose columns but the first few, which are `names`, are figures."""
    ruler = ["---"] * names + ["---:"] * (len(head) - names)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *lines))
