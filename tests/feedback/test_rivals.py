"""Processes that share a store and say the same thing at the same moment."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store.base import Store

ROOT = Path(__file__).parents[2]

RIVALS = 3
CALLS = 40


async def test_each_call_counts_once_and_each_version_follows_one(store: Store, tmp_path: Path) -> None:
    rivals = [_start(tmp_path / "gateway.db") for _ in range(RIVALS)]
    told = await asyncio.gather(*(asyncio.to_thread(rival.communicate, "go\n") for rival in rivals))
    said = [json.loads(output) for output, _ in told]

    assert said[0]["given"] == said[1]["given"] == said[2]["given"]
    entries = await store.find_feedback(NO_FILTER, Sort(), Page(limit=1000), None)
    assert len(entries) == CALLS + 1

    for kind, first in (("cast", 1), ("revised", 2)):
        versions = sorted(version for each in said for version in each[kind])
        assert versions == list(range(first, first + RIVALS * CALLS)), "a version was given twice or lost"


def _start(database: Path) -> subprocess.Popen[str]:
    """Start a rival and return it when it is ready to go."""
    command = [sys.executable, "-m", "tests.feedback.rival", str(database), str(CALLS)]
    rival = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert rival.stdout is not None
    assert rival.stdout.readline() == "ready\n"
    return rival
