"""Results for people and for programs: tables in Markdown, sections of a document, JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.compare import Row
from benchmarks.memory import Reading
from benchmarks.processes import Failed
from benchmarks.questions import Answered

RESULTS = Path(__file__).with_name("results")


def comparison_table(rows: Sequence[Row]) -> str:
    """Return the comparison, a line for each case and contestant."""
    head = ("load", "through", "CPU-µs a request", "requests/s", "p50 ms", "p99 ms", "RSS MiB")
    return _table(head, [_comparison_line(row) for row in rows])


def _comparison_line(row: Row) -> tuple[str, ...]:
    figures = row.median
    is_measured = figures.rss_mib > 0
    return (
        row.case,
        row.contestant,
        f"{figures.cpu_us:,.0f}" if is_measured else "–",
        f"{figures.requests_per_second:,.0f}",
        f"{figures.p50_us / 1000:,.2f}",
        f"{figures.p99_us / 1000:,.2f}",
        f"{figures.rss_mib:,.0f}" if is_measured else "–",
    )


def memory_table(readings: Sequence[Reading]) -> str:
    """Return what memory was used after how many requests."""
    lines = [(f"{reading.requests:,}", f"{reading.rss_mib:,.1f}") for reading in readings]
    return _table(("requests served", "RSS MiB"), lines)


def questions_table(answers: Sequence[Answered]) -> str:
    """Return how long each kind of question took."""
    lines = [(one.question, f"{one.median_ms:,.1f}", f"{one.worst_ms:,.1f}") for one in answers]
    return _table(("question", "median ms", "slowest ms"), lines)


def facts_table(facts: Mapping[str, str]) -> str:
    """Return the facts about the machine."""
    return _table(("machine", ""), list(facts.items()))


def save(name: str, facts: Mapping[str, str], results: Sequence[Row | Reading | Answered]) -> Path:
    """Write results as JSON into `results/`, under a name with the time in it; return the file."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}.json"
    content = {"facts": dict(facts), "results": [asdict(result) for result in results]}
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return file


def replace_section(document: str, name: str, content: str) -> str:
    """Return a Markdown document with what stands between the markers of a section replaced.

    The markers are the comments `<!-- NAME -->` and `<!-- /NAME -->`, each on a line of its own.

    Raises:
        Failed: the document does not have both, once each and in this order.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found_start, rest = document.partition(start)
    _, found_end, after = rest.partition(end)
    if not found_start or not found_end or start in after:
        raise Failed(f"the document has no section between {start.strip()} and {end}")
    return f"{before}{start}\n{content.strip()}\n\n{end}{after}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruler = ["---", "---", *["---:"] * (len(head) - 2)] if len(head) > 2 else ["---"] * len(head)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *lines))
