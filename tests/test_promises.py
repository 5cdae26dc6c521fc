"""Pages that say what may be relied on name the tests that prove it; each of them must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"


@pytest.mark.parametrize(
    ("page", "least"),
    [("reference/feedback-promises.md", 11), ("data.md", 9), ("reliability.md", 24), ("security.md", 9)],
)
def test_every_promise_names_the_tests_that_prove_it(page: str, least: int) -> None:
    names = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    promises = (DOCS / page).read_text().partition("## What you may rely on")[2]
    rows = [line.split("|")[1:-1] for line in promises.splitlines() if line.startswith("| ")][1:]

    assert len(rows) >= least
    for promise, *_, proof in rows:
        cited = re.findall(r"`(\w+)`", proof)
        assert cited, promise
        assert set(cited) <= names, promise
