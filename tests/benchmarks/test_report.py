from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.compare import Added
from benchmarks.processes import Failed
from benchmarks.report import replace_section
from benchmarks.tables import TABLES

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PAGES = [
    RESULTS / name
    for name in (
        "performance.md",
        "scale.md",
        "postgresql.md",
        "pages.md",
        "alerts.md",
        "webhooks.md",
        "exports.md",
        "outages.md",
        "replays.md",
        "experiments.md",
    )
]
DOCUMENT = "# Title\n\n<!-- one -->\nold\n<!-- /one -->\n\nbetween\n\n<!-- two -->\n<!-- /two -->\n"


def test_a_section_is_replaced_and_all_else_stays() -> None:
    replaced = replace_section(DOCUMENT, "one", "new")
    assert replaced == DOCUMENT.replace("old\n", "\nnew\n\n")
    assert replace_section(replaced, "one", "new") == replaced


@pytest.mark.parametrize("document", ["", "<!-- one -->\n", "<!-- /one -->\n<!-- one -->\n"])
def test_a_document_without_both_markers_is_refused(document: str) -> None:
    with pytest.raises(Failed):
        replace_section(document, "one", "new")


@pytest.mark.parametrize("section", [*TABLES, "reach", "machine"])
def test_every_section_has_a_place_on_one_page(section: str) -> None:
    [page] = [page for page in PAGES if f"<!-- {section} -->" in page.read_text()]
    assert "a new table" in replace_section(page.read_text(), section, "a new table")


def test_results_are_kept_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    file = report.save("added", {"commit": "abc"}, [Added("nginx", 1.5, 2.5)])
    assert json.loads(file.read_text()) == {
        "facts": {"commit": "abc"},
        "results": [{"contestant": "nginx", "p50_us": 1.5, "p99_us": 2.5}],
    }
