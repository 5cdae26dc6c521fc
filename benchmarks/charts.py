"""Results as pictures: SVG that can be read on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pygal
from pygal.style import Style

from benchmarks.bodies import Body
from benchmarks.compare import Row
from benchmarks.filling import Growth
from benchmarks.half_rate import HalfRate
from benchmarks.streams import Streams
from benchmarks.tasks import Results
from benchmarks.vitals import Vitals

_GREY = "#767f89"
"""Stands out from white and from near black."""

_COLOURS = {
    "direct": "#8c959f",
    "nginx": "#2da44e",
    "gateway": "#2f81f7",
    "portkey": "#d4679a",
    "litellm": "#d29922",
}
_OTHER_COLOUR = "#8957e5"

_COMPARED = ("json:16", "json:64", "sse:64")


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what there is into a folder, a file a section; return the files."""
    folder.mkdir(exist_ok=True)
    files = []
    for section, chart_of in _CHARTS.items():
        if rows := results.get(section):
            files.append(folder / f"{section}.svg")
            files[-1].write_text(chart_of(rows))
    return files


def _comparison(rows: Sequence[Row]) -> str:
    costs = {(row.case, row.contestant): row.median.cpu_us for row in rows if row.median.rss_mib}
    return _bars("CPU-µs a request", _COMPARED, costs)


def _half_rate(rows: Sequence[HalfRate]) -> str:
    times = {("p50", row.contestant): row.added.p50_us / 1000 for row in rows if row.added.p50_us > 0}
    times |= {("p99", row.contestant): row.added.p99_us / 1000 for row in rows if row.added.p99_us > 0}
    return _bars("milliseconds added when half as busy as can be", ("p50", "p99"), times)


def _streams(rows: Sequence[Streams]) -> str:
    costs = {(f"{row.at_once:,}", row.contestant): row.cpu_us_an_event for row in rows if row.cpu_us_an_event}
    return _lines("CPU-µs an event, by streams at once", costs)


def _bodies(rows: Sequence[Body]) -> str:
    costs = {(f"{row.size // 1000:,} KB", row.contestant): row.cpu_us for row in rows}
    return _lines("CPU-µs a request, by the length of its body", costs)


def _growth(rows: Sequence[Growth]) -> str:
    costs = {(f"{row.rows:,}", "gateway"): row.cpu_us_a_row for row in rows}
    title = "CPU-µs to write a request, by requests in the store"
    return _filled(pygal.Line(**_looks(title, costs), include_x_axis=True), _places(costs), costs)


def _soak(rows: Sequence[Vitals]) -> str:
    sizes = {(f"{row.at_s:.0f}", "gateway"): row.rss_mib for row in rows}
    looks = {
        "include_x_axis": True,
        "show_dots": False,
        "x_labels_major_count": 11,
        "show_minor_x_labels": False,
    }
    return _filled(pygal.Line(**_looks("MiB of memory, by seconds", sizes), **looks), _places(sizes), sizes)


_CHARTS: Mapping[str, Callable[[Sequence[Any]], str]] = {
    "comparison": _comparison,
    "half-rate": _half_rate,
    "streams": _streams,
    "bodies": _bodies,
    "growth": _growth,
    "soak": _soak,
}

Points = Mapping[tuple[str, str], float]
"""Values by their place on the x axis and by contestant."""


def _bars(title: str, places: Sequence[str], points: Points) -> str:
    looks = {"print_values": True, "print_values_position": "top", "show_y_labels": False}
    return _filled(pygal.Bar(**_looks(title, points), **_decades(points), **looks), places, points)


def _lines(title: str, points: Points) -> str:
    return _filled(pygal.Line(**_looks(title, points), **_decades(points)), _places(points), points)


def _filled(chart: Any, places: Sequence[str], points: Points) -> str:
    chart.x_labels = places
    chart.add_xml_filter(_without_scripts)
    for name in _names(points):
        chart.add(name, [points.get((place, name)) for place in places])
    svg: str = chart.render(is_unicode=True)
    return svg + "\n"


def _without_scripts(root: Element) -> Element:
    for parent in root.iter():
        for script in parent.findall("script"):
            parent.remove(script)
    return root


def _places(points: Points) -> list[str]:
    return list(dict.fromkeys(place for place, _ in points))


def _names(points: Points) -> list[str]:
    return list(dict.fromkeys(name for _, name in points))


def _decades(points: Points) -> dict[str, Any]:
    """A logarithmic axis over whole powers of ten, with a line for each."""
    first = math.floor(math.log10(min(points.values())))
    last = math.ceil(math.log10(max(points.values())))
    return {
        "logarithmic": True,
        "zero": 10.0**first,
        "range": (10.0**first, 10.0**last),
        "y_labels": [10.0**power for power in range(first, last + 1)],
    }


def _looks(title: str, points: Points) -> dict[str, Any]:
    names = _names(points)
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground=_GREY,
        foreground_strong=_GREY,
        foreground_subtle=_GREY,
        guide_stroke_color=_GREY,
        major_guide_stroke_color=_GREY,
        opacity="0.9",
        font_family="system-ui, sans-serif",
        colors=tuple(_COLOURS.get(name, _OTHER_COLOUR) for name in names),
        value_colors=(_GREY,) * len(names),
        title_font_size=16,
        value_font_size=12,
        label_font_size=12,
        major_label_font_size=12,
    )
    return {
        "title": title,
        "style": style,
        "width": 760,
        "height": 340,
        "js": [],
        "stroke_style": {"width": 2},
        "legend_at_bottom": True,
        "legend_at_bottom_columns": len(names),
        "truncate_legend": -1,
        "disable_xml_declaration": True,
        "value_formatter": lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2g}",
    }
