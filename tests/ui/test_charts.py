"""Charts: SVG with links and titles, and nothing that the page's policy forbids."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from gateway.ui import formats
from gateway.ui.charts import Chart, Series, draw

LINKS = [f"/ui/requests?day={day}&model=a" for day in range(4)]
CHART = Chart(
    "Score",
    ["Mon", "Tue", "Wed", "<b>"],
    [
        Series("score", [0.5, None, -0.25, 0.0], 0, [(0.25, 0.75), None, (-0.5, 0.0), None]),
        Series("errors <1>", [1, 0, 0, 1], 1),
    ],
    LINKS,
    formats.signed,
    (-1.0, 1.0),
)
SVG = "{http://www.w3.org/2000/svg}"


def test_each_point_leads_to_its_rows_and_says_its_value() -> None:
    root = fromstring(draw(CHART))
    hrefs = [link.get("{http://www.w3.org/1999/xlink}href") for link in root.iter(f"{SVG}a")]
    # The second series has a value where the first has none.
    assert sorted(str(href) for href in hrefs) == sorted([LINKS[0], LINKS[2], LINKS[3], *LINKS])
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "Wed · score · −0.25" in titles


def test_a_screen_reader_hears_the_range_and_the_last_value() -> None:
    root = fromstring(draw(CHART))
    assert root.get("role") == "img"
    assert root.get("aria-label") == (
        "Score: score from −0.25 to 0.5, last 0; errors <1> from 0 to 1, last 1"
    )


def test_nothing_inline_is_left() -> None:
    drawn = draw(CHART)
    root = fromstring(drawn)
    assert not any("style" in each.attrib or "id" in each.attrib for each in root.iter())
    assert not any(each.tag in (f"{SVG}style", f"{SVG}script") for each in root.iter())
    assert "<b>" not in drawn


def test_intervals_are_drawn() -> None:
    assert draw(CHART).count('class="ci"') == 2


def test_a_chart_without_values_knows_it() -> None:
    assert Chart("Cost", ["Mon"], [Series("cost", [None], 0)], [], formats.money).is_empty
    assert not CHART.is_empty
