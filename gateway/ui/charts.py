"""Charts over time as SVG, drawn on the server: with links, titles to hover over, and no inline style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pygal
from markupsafe import Markup

WIDTH, HEIGHT = 560, 190
# So many labels fit below a chart.
_MAX_LABELS = 8
_MIDNIGHT = " 00:00"


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart; None where there is no value.

    Args:
        intervals: low and high of each value.
        color: number of the colour in the style sheet.
    """

    name: str
    values: Sequence[float | None]
    color: int
    intervals: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over the same points in time.

    Args:
        labels: of the points.
        links: page with the rows behind each point.
        write: how a value is written.
        bounds: of the values, where they do not follow from them.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    links: Sequence[str]
    write: Callable[[float | None], str]
    bounds: tuple[float, float] | None = None

    @property
    def is_empty(self) -> bool:
        return all(value is None for each in self.series for value in each.values)


def draw(chart: Chart) -> Markup:
    """Return a chart as an SVG element; its text is what a screen reader says."""
    drawing = pygal.Line(
        width=WIDTH,
        height=HEIGHT,
        margin=4,
        margin_right=28,
        css=[],
        js=[],
        disable_xml_declaration=True,
        explicit_size=False,
        show_legend=False,
        dots_size=2,
        stroke_style={"width": 1},
        x_labels_major=_major_labels(chart.labels),
        show_minor_x_labels=False,
        truncate_label=-1,
        value_formatter=chart.write,
        range=chart.bounds,
        include_x_axis=chart.bounds is None,
        y_labels_major_count=3,
        show_minor_y_labels=False,
        allow_interruptions=True,
        no_data_text="",
    )
    drawing.x_labels = list(chart.labels)
    if chart.bounds is None and not any(value for each in chart.series for value in each.values):
        # Else the axis has billionths.
        drawing.y_labels = [0]
    for each in chart.series:
        drawing.add(each.name, [_point(chart, each, index) for index in range(len(each.values))])
    drawing.add_xml_filter(lambda root: _plain(root, chart))
    return Markup(drawing.render(is_unicode=True))


def _major_labels(labels: Sequence[str]) -> list[str]:
    """Return the labels to show: the beginnings of days where there are several, else some at equal steps."""
    days = [label for label in labels if label.endswith(_MIDNIGHT)]
    shown = days if len(days) > 1 else list(labels)
    return shown[:: -(-len(shown) // _MAX_LABELS) or 1]


def _point(chart: Chart, series: Series, index: int) -> dict[str, Any] | None:
    value = series.values[index]
    if value is None:
        return None
    point: dict[str, Any] = {"value": value, "label": series.name}
    if index < len(chart.links):
        point["xlink"] = {"href": chart.links[index], "target": "_self"}
    if index < len(series.intervals) and (interval := series.intervals[index]) is not None:
        low, high = interval
        point["ci"] = {"low": low, "high": high}
    return point


def _plain(root: Element, chart: Chart) -> Element:
    """Take out what the strict policy for styles forbids, and make titles of what the scripts would show."""
    colors = {f"serie-{index}": f"color-{each.color}" for index, each in enumerate(chart.series)}
    for parent in list(root.iter()):
        _replace_descriptions(parent)
        for child in list(parent):
            # Comments have a function as their tag.
            if not isinstance(child.tag, str) or child.tag.endswith(("defs", "style", "title-old")):
                parent.remove(child)
        parent.attrib.pop("style", None)
        parent.attrib.pop("id", None)
        if parent.text is not None and str(parent.tag).endswith("text"):
            parent.text = parent.text.removesuffix(_MIDNIGHT)
        words = parent.get("class", "").split()
        color = next((colors[word] for word in words if word in colors), None)
        if color is not None:
            parent.set("class", " ".join([*(w for w in words if not w.startswith("color-")), color]))
    root.set("role", "img")
    root.set("aria-label", _describe(chart))
    return root


def _replace_descriptions(parent: Element) -> None:
    descriptions = [child for child in parent if isinstance(child.tag, str) and child.tag.endswith("desc")]
    texts = {child.get("class", "").split(" ")[0]: child.text or "" for child in descriptions}
    for child in descriptions:
        parent.remove(child)
    if "value" in texts:
        title = SubElement(parent, "title")
        title.text = " · ".join(texts[name] for name in ("x_label", "label", "value") if texts.get(name))


def _describe(chart: Chart) -> str:
    parts = []
    for each in chart.series:
        known = [value for value in each.values if value is not None]
        if known:
            low, high, last = (chart.write(value) for value in (min(known), max(known), known[-1]))
            parts.append(f"{each.name} from {low} to {high}, last {last}")
    return f"{chart.title}: {'; '.join(parts) or 'no values'}"
