"""docs/feedback.md names the tests that prove what may be relied on; each of them must be there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PROMISES = (TESTS.parent / "docs" / "feedback.md").read_text().partition("## What you may rely on")[2]


def test_every_promise_names_the_tests_that_prove_it() -> None:
    names = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE)
    }
    rows = [line.split("|")[1:-1] for line in PROMISES.splitlines() if line.startswith("| ")][1:]

    assert len(rows) > 10
    for promise, _, proof in rows:
        cited = re.findall(r"`(\w+)`", proof)
        assert cited, promise
        assert set(cited) <= names, promise
