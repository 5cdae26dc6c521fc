from __future__ import annotations

import asyncio
import json
from pathlib import Path

from gateway.models.reviews import ReviewChange, ReviewState
from gateway.store import open_store
from tests.cli.conftest import Run
from tests.store.samples import exchange, feedback

NOW_US = 1_700_000_000_000_000


async def fill(folder: Path) -> None:
    store = await open_store(f"sqlite:///{folder}/gateway.db")
    seqs = await store.append([exchange(f"r{number}", f"t{number}") for number in range(12)])
    for seq in seqs[:2]:
        await store.change_review(seq, ReviewChange(ReviewState.REVIEWED, "ann", NOW_US + seq, "too long"))
    given = [
        feedback(f"{author}-{number}", f"t{number}", author=author, score=-1.0 if number % 2 else 1.0)
        for number in range(12)
        for author in ("ann", "ben")
    ]
    await store.put_feedback(given)
    await store.close()


def test_reviews_are_listed_and_scores_compared(run: Run, tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path))
    listed = run("reviews", "list", "--reviewer", "ann")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[2:] for line in listed.stdout.splitlines()[1:]] == [
        ["reviewed", "ann", "r1", "too", "long"], ["reviewed", "ann", "r0", "too", "long"],
    ]  # fmt: skip
    as_json = run("reviews", "list", "--json", "--limit", "1")
    assert json.loads(as_json.stdout)["request_id"] == "r1"
    compared = run("reviews", "agreement")
    assert "12 requests, 2 people" in compared.stdout
    assert compared.stdout.splitlines()[-1].split("  ")[0] == "ann and ben"
    found = json.loads(run("reviews", "agreement", "--json", "--where", "trace_id=t1").stdout)
    assert found["people"]["requests"] == 1
    assert run("reviews", "agreement", "--where", "colour=red").returncode == 2
