"""Reports as Markdown, and as one HTML file with charts that loads nothing; both from the same sections."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pygal
from markupsafe import Markup, escape

from gateway.models.clock import to_datetime
from gateway.models.metrics import UsageSums, percentile_ms
from gateway.models.request import NANOUSD_PER_USD
from gateway.query.metrics import GroupMetrics
from gateway.query.report import METHOD, Change, DislikedAnswer, Report
from gateway.query.statistics import mean_score, share_positive

_MAX_EXCERPT = 300
_NOTHING = "–"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#1c2024}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
td{overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:1rem}
.soft{color:#60646c}
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report: sentences, and perhaps a table or charts as SVG."""

    title: str
    sentences: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    charts: Sequence[str] = ()


def to_markdown(report: Report) -> str:
    """Return a report as Markdown; what strangers wrote is escaped."""
    lines = [f"# {_title(report)}", ""]
    for section in _sections(report):
        lines += [f"## {section.title}", ""]
        lines += [part for sentence in section.sentences for part in (_escape_markdown(sentence), "")]
        if section.rows:
            cells = (section.head, ["---"] * len(section.head), *section.rows)
            rule = 1
            lines += [
                f"| {' | '.join(row if at == rule else map(_escape_markdown, row))} |"
                for at, row in enumerate(cells)
            ]
            lines.append("")
    return "\n".join([*lines, f"*{METHOD}*", ""])


def to_html(report: Report) -> str:
    """Return a report as one HTML file, with charts and without any script or load."""
    body = Markup("").join(map(_section_html, [*_sections(report), *_charts(report)]))
    title = escape(_title(report))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<style>{_STYLE}</style></head><body><h1>{title}</h1>{body}<p class="soft">{escape(METHOD)}</p>'
        "</body></html>\n"
    )


def _section_html(section: Section) -> Markup:
    parts = [Markup("<h2>{}</h2>").format(section.title)]
    parts += [Markup("<p>{}</p>").format(sentence) for sentence in section.sentences]
    if section.rows:
        head = Markup("").join(Markup("<th>{}</th>").format(cell) for cell in section.head)
        rows = Markup("").join(
            Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row))
            for row in section.rows
        )
        parts.append(Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, rows))
    if section.charts:
        # Drawn here, and escaped by the library.
        drawn = Markup("").join(Markup(f"<div>{chart}</div>") for chart in section.charts)
        parts.append(Markup('<div class="charts">{}</div>').format(drawn))
    return Markup("").join(parts)


def _escape_markdown(text: str) -> str:
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    for mark in "\\`*_[]|#":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def _title(report: Report) -> str:
    start, end = (to_datetime(at_us) for at_us in (report.overview.from_us, report.overview.to_us))
    return f"Requests and feedback, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _sections(report: Report) -> Iterator[Section]:
    overview = report.overview
    yield Section(
        "What changed",
        list(_findings(report)),
        ("", "now", "before"),
        [(name, write(overview.total), write(overview.before)) for name, write in _TOTALS.items()],
    )
    for field, changes in report.changes.items():
        if any(change.value is not None for change in changes):
            yield _changes_section(field, changes)
    if report.disliked:
        yield Section(
            "Most disliked answers",
            (),
            ("request", "score", "question", "answer", "comment"),
            list(map(_disliked_row, report.disliked)),
        )
    yield Section("Money", list(_money_sentences(report)))
    if overview.attention:
        yield Section("What needs attention", [item.message for item in overview.attention if item.is_urgent])


def _findings(report: Report) -> Iterator[str]:
    for field, change in report.real_changes:
        assert change.score is not None, "real changes are of scores"
        verb = "is liked more than before" if change.score.value > 0 else "is liked less than before"
        yield f"{field} {change.name} {verb}: {_score_change(change)}, {change.score.people:,} people."
    for field, changes in report.changes.items():
        for change in changes:
            rate = change.error_rate
            if change.value is not None and rate is not None and (rate.low or 0) > 0:
                yield f"{field} {change.name} fails more often than before: {_rate_change(change)}."
    if not report.real_changes:
        yield "No prompt, model or group of users is liked more or less than before, beyond chance."


def _score_change(change: Change) -> str:
    if change.score is None:
        return _NOTHING
    return f"{change.score.value:+.2f} [{change.score.low:+.2f}, {change.score.high:+.2f}]"


def _rate_change(change: Change) -> str:
    rate = change.error_rate
    if rate is None or rate.low is None or rate.high is None:
        return _NOTHING
    return f"{100 * rate.value:+.1f} [{100 * rate.low:+.1f}, {100 * rate.high:+.1f}] percentage points"


def _changes_section(field: str, changes: Sequence[Change]) -> Section:
    head = (field, "requests", "before", "score", "change, 95 %", "errors", "change, 95 %", "cost", "before")
    rows = [
        (
            change.name,
            f"{change.now.usage.requests:,}",
            f"{change.before.usage.requests:,}",
            _NOTHING if change.now.mean_score is None else f"{change.now.mean_score.value:.2f}",
            _score_change(change) + (" (real)" if change.is_real else ""),
            _share(change.now.usage.errors, change.now.usage.requests),
            _rate_change(change),
            _money(change.now.usage),
            _money(change.before.usage),
        )
        for change in changes
    ]
    return Section(f"By {field}", (), head, rows)


def _disliked_row(answer: DislikedAnswer) -> Sequence[str]:
    mean = answer.summary.score.weighted_mean
    texts = answer.texts
    return (
        answer.record.request_id,
        f"{0.0 if mean is None else mean:.2f} ({answer.summary.score.count:,})",
        _excerpt(texts.question),
        _excerpt(texts.answer or texts.no_answer or ""),
        _excerpt(answer.comment or ""),
    )


def _excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_EXCERPT else f"{flat[: _MAX_EXCERPT - 1]}…"


def _money_sentences(report: Report) -> Iterator[str]:
    now, before = report.overview.total.usage, report.overview.before.usage
    yield f"{_money(now)} were spent, {_money(before)} in the period before."
    unpriced = now.requests - now.priced
    if unpriced:
        yield f"The cost of {unpriced:,} requests is not known."
    models = sorted(report.changes["model"], key=lambda change: -change.now.usage.cost_nanousd)
    for change in models[:3]:
        if change.now.usage.cost_nanousd:
            share = _share(change.now.usage.cost_nanousd, now.cost_nanousd)
            yield f"{change.name}: {_money(change.now.usage)}, {share} of it."


def _money(usage: UsageSums) -> str:
    usd = usage.cost_nanousd / NANOUSD_PER_USD
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.4g}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else _NOTHING


def _estimate(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _score(part: GroupMetrics) -> str:
    found = mean_score(part.feedback_sums)
    return _NOTHING if found is None else _estimate(found.value, found.low, found.high)


def _positive(part: GroupMetrics) -> str:
    found = share_positive(part.feedback_sums)
    if found is None:
        return _NOTHING
    return f"{100 * found.value:.1f} % [{100 * (found.low or 0):.1f}, {100 * (found.high or 0):.1f}]"


def _p95(part: GroupMetrics) -> str:
    found = percentile_ms(part.latencies, 0.95)
    return _NOTHING if found is None else f"{found:,.0f} ms"


_TOTALS: dict[str, Callable[[GroupMetrics], str]] = {
    "requests": lambda part: f"{part.usage.requests:,}",
    "errors": lambda part: _share(part.usage.errors, part.usage.requests),
    "p95 duration": _p95,
    "cost": lambda part: _money(part.usage),
    "feedback": lambda part: f"{part.feedback_sums.entries:,}",
    "requests with feedback": lambda part: _share(part.feedback_sums.judged_requests, part.usage.requests),
    "mean of all scores": _score,
    "positive": _positive,
}

# Of a chart over time: the value of an interval, and how it is written.
_SERIES: dict[str, Callable[[GroupMetrics], float | None]] = {
    "requests": lambda part: part.usage.requests,
    "errors, %": lambda part: 100 * part.usage.errors / part.usage.requests if part.usage.requests else None,
    "mean of all scores": lambda part: (
        None if (found := mean_score(part.feedback_sums)) is None else found.value
    ),
    "cost, $": lambda part: part.usage.cost_nanousd / NANOUSD_PER_USD,
}


def series_over_time(report: Report) -> Iterator[tuple[str, list[float | None]]]:
    """Yield the name and the values over time of what charts and sparklines show."""
    for name, value_of in _SERIES.items():
        yield name, [value_of(point.figures) for point in report.overview.points]


def _charts(report: Report) -> Iterable[Section]:
    labels = [f"{to_datetime(point.starts_at_us):%m-%d %H:%M}" for point in report.overview.points]
    drawn = [_draw(name, labels, values) for name, values in series_over_time(report)]
    return [Section("Over time", charts=drawn)]


def _draw(name: str, labels: Sequence[str], values: Sequence[float | None]) -> str:
    chart = pygal.Line(
        width=480, height=220, js=[], disable_xml_declaration=True, show_legend=False, dots_size=2,
        title=name, x_labels_major_count=5, show_minor_x_labels=False, allow_interruptions=True,
        no_data_text="no data", x_label_rotation=20,
    )  # fmt: skip
    chart.x_labels = list(labels)
    chart.add(name, list(values))
    chart.add_xml_filter(_without_scripts)
    drawn: str = chart.render(is_unicode=True)
    return drawn


def _without_scripts(root: Element) -> Element:
    for parent in list(root.iter()):
        for child in list(parent):
            if isinstance(child.tag, str) and child.tag.endswith("script"):
                parent.remove(child)
    return root
