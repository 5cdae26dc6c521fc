from __future__ import annotations

import pytest

from benchmarks.compare import Figures, Row, median_of
from benchmarks.processes import Failed
from benchmarks.report import comparison_table, replace_section

DOCUMENT = "# Title\n\n<!-- one -->\nold\n<!-- /one -->\n\nbetween\n\n<!-- two -->\n<!-- /two -->\n"


def test_a_section_is_replaced_and_all_else_stays() -> None:
    replaced = replace_section(DOCUMENT, "one", "new")
    assert replaced == DOCUMENT.replace("old\n", "\nnew\n\n")
    assert replace_section(replaced, "one", "new") == replaced


@pytest.mark.parametrize("document", ["", "<!-- one -->\n", "<!-- /one -->\n<!-- one -->\n"])
def test_a_document_without_both_markers_is_refused(document: str) -> None:
    with pytest.raises(Failed):
        replace_section(document, "one", "new")


def test_each_figure_has_its_own_median() -> None:
    rounds = [Figures(1, 30, 5, 5, 5), Figures(2, 10, 5, 5, 5), Figures(9, 20, 5, 5, 5)]
    assert median_of(rounds) == Figures(2, 20, 5, 5, 5)


def test_a_contestant_without_processes_has_no_cpu_or_memory() -> None:
    figures = Figures(cpu_us=0, requests_per_second=12345.6, p50_us=100, p99_us=2500, rss_mib=0)
    line = comparison_table([Row("json:1", "direct", figures, (figures,))]).splitlines()[-1]
    assert line == "| json:1 | direct | – | 12,346 | 0.10 | 2.50 | – |"
