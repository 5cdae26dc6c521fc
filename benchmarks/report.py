"""Results kept: sections of a document, and JSON files for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.processes import Failed

RESULTS = Path(__file__).with_name("results")


def save(name: str, facts: Mapping[str, str], results: Sequence[Any]) -> Path:
    """Write results, dataclasses, as JSON into `results/`, under a name with the time in it; return the file."""
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
