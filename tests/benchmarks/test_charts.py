from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmarks.bodies import Body
from benchmarks.charts import draw
from benchmarks.compare import Figures, Row
from benchmarks.filling import Growth
from benchmarks.half_rate import HalfRate, Times
from benchmarks.streams import Streams
from benchmarks.tasks import Results

RESULTS: Results = {
    "comparison": [
        Row("json:16", name, Figures(cost, 1, 1, 1, rss), ())
        for name, cost, rss in (("direct", 0, 0), ("nginx", 10, 12), ("gateway", 321, 90))
    ],
    "half-rate": [HalfRate("gateway", 100, Times(300, 900), Times(400, 400))],
    "streams": [Streams(at_once, "gateway", cost, 1, 1, 1, 1) for at_once, cost in ((1, 200), (1000, 40))],
    "bodies": [Body(size, "gateway", cost, 1) for size, cost in ((1000, 300), (1_000_000, 8000))],
    "growth": [Growth(rows, 1000, 40) for rows in (0, 1000)],
    "memory": [],
}


def texts(file: Path) -> list[str]:
    return [text for element in ElementTree.parse(file).iter() if (text := (element.text or "").strip())]


def test_a_chart_is_drawn_of_each_section_that_has_one(tmp_path: Path) -> None:
    files = draw(RESULTS, tmp_path / "charts")
    assert [file.name for file in files] == [
        "comparison.svg", "half-rate.svg", "streams.svg", "bodies.svg", "growth.svg"
    ]  # fmt: skip
    assert all("gateway" in texts(file) for file in files)


def test_who_has_no_cost_of_its_own_is_not_drawn(tmp_path: Path) -> None:
    (chart,) = draw({"comparison": RESULTS["comparison"]}, tmp_path / "charts")
    assert "321" in texts(chart)
    assert "direct" not in texts(chart)


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    assert draw({"growth": []}, tmp_path / "charts") == []


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    for file in draw(RESULTS, tmp_path / "charts"):
        assert not {"script", "image", "link"} & {
            element.tag.rpartition("}")[2] for element in ElementTree.parse(file).iter()
        }
