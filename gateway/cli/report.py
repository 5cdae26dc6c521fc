"""`gateway report` and `gateway stats`: what changed against the period before, as a file or in the terminal."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import click

from gateway.alerts.reports import series_over_time, to_html, to_markdown
from gateway.cli.filters import parse_filter
from gateway.cli.options import open_existing_store, pass_store_url
from gateway.cli.output import escape_unprintable, print_lines
from gateway.models.clock import format_duration, now_us, parse_time_us
from gateway.models.metrics import MetricsQuery
from gateway.query.filters import METADATA_PREFIX, METRICS_FILTERS
from gateway.query.metrics import GROUP_FIELDS
from gateway.query.report import DEFAULT_GROUP, Report, ReportReader

_BARS = "▁▂▃▄▅▆▇█"
_FORMATS = ("html", "markdown", "json")

_since = click.option("--since", default="7d", show_default=True, help="From this time or age on.")
_until = click.option("--until", default="now", show_default=True, help="Until this time.")
_where = click.option("--where", multiple=True, metavar="NAME=VALUE", help="A filter, as of gateway logs.")


@click.command("report")
@_since
@_until
@_where
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="markdown",
    show_default=True,
    help="What is written.",
)
@click.option("--group-by", "group", default=DEFAULT_GROUP, show_default=True, help="Groups of users.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="File to write; else standard output.")
@pass_store_url
def report_command(
    since: str, until: str, where: tuple[str, ...], form: str, group: str, output: str | None, url: str
) -> None:
    """Write what changed against the period before, the most disliked answers, and money.

    The same as GET /api/v1/report.
    """
    found = asyncio.run(_read(url, since, until, where, group))
    if form == "json":
        from gateway.cli.serializers import report_lines

        text = "\n".join(report_lines(found)) + "\n"
    else:
        text = (to_html if form == "html" else to_markdown)(found)
    if output is None:
        click.echo(text, nl=False)
    else:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
        click.echo(f"wrote {output}", err=True)


@click.command("stats")
@_since
@_until
@_where
@pass_store_url
def stats_command(since: str, until: str, where: tuple[str, ...], url: str) -> None:
    """Show requests, errors, scores and cost over time."""
    print_lines(_stats_lines(asyncio.run(_read(url, since, until, where, DEFAULT_GROUP))))


async def _read(url: str, since: str, until: str, where: Sequence[str], group: str) -> Report:
    times = {"--since": since, "--until": until}
    from_us, to_us = (_parse_time(flag, text) for flag, text in times.items())
    query = MetricsQuery(from_us, to_us, parse_filter(METRICS_FILTERS, {}, where))
    field = GROUP_FIELDS.get(group, group)
    if field not in GROUP_FIELDS.values() and not field.startswith(METADATA_PREFIX):
        allowed = f"{', '.join(GROUP_FIELDS)}, {METADATA_PREFIX}KEY"
        raise click.BadParameter(f"{group!r} is not one of {allowed}.", param_hint="--group-by")
    async with open_existing_store(url) as store:
        return await ReportReader(store).read(query, field)


def _parse_time(flag: str, text: str) -> int:
    try:
        return min(parse_time_us(text, is_end=flag == "--until"), now_us())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=flag) from None


def _stats_lines(report: Report) -> Iterator[str]:
    overview = report.overview
    if not overview.total.usage.requests:
        yield "No request matches."
        return
    yield f"a mark each {format_duration(overview.interval_us)}, the lowest and the highest value beside them"
    series: Mapping[str, list[float | None]] = dict(series_over_time(report))
    for name, values in series.items():
        known = [value for value in values if value is not None]
        if known:
            yield f"{name:<12} {sparkline(values)}  {min(known):.4g} to {max(known):.4g}"
    for field, changes in report.changes.items():
        named = [change for change in changes if change.value is not None]
        if named:
            yield ""
            yield f"by {'model' if field == 'any_model' else field}"
        for change in named:
            score = change.now.mean_score
            shown = "-" if score is None else f"{score.value:.2f}"
            moved = "" if not change.is_real or change.score is None else f" ({change.score.value:+.2f})"
            name = escape_unprintable(change.name)[:30]
            yield f"  {name:<30} {change.now.usage.requests:>9,} requests, score {shown}{moved}"


def sparkline(values: Sequence[float | None]) -> str:
    """Return a mark for each value, by its place between the lowest and the highest; a space for none."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    steps = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else _BARS[round((value - low) * steps)] for value in values)
