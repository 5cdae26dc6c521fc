from __future__ import annotations

import asyncio
import json
from pathlib import Path

from gateway.cli.report import sparkline
from gateway.models.clock import now_us
from gateway.store import open_store
from tests.cli.conftest import Run
from tests.store.samples import exchange

HOUR_US = 3_600_000_000


async def fill(folder: Path) -> None:
    store = await open_store(f"sqlite:///{folder}/gateway.db")
    at = now_us() - HOUR_US
    await store.append(
        [
            exchange(
                f"r{n}",
                f"t{n}",
                metadata={"_prompt": "p"},
                started_at_us=at + n,
                status=500 if n < 3 else 200,
            )
            for n in range(12)
        ]
    )
    await store.close()


def test_a_report_is_written_and_stats_are_shown(run: Run, tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path))
    written = run("report", "--since", "24h", "--format", "html", "-o", "week.html")
    assert (written.returncode, written.stderr) == (0, "wrote week.html\n")
    assert (tmp_path / "week.html").read_text().startswith("<!doctype html>")
    assert "| errors | 25.0 % | – |" in run("report", "--since", "24h").stdout
    as_json = json.loads(run("report", "--since", "24h", "--format", "json", "--where", "prompt=p").stdout)
    assert (as_json["total"]["requests"], as_json["before"]["requests"]) == (12, 0)
    assert as_json["changes"]["prompt"][0]["value"] == "p"
    stats = run("stats", "--since", "24h").stdout
    assert "requests" in stats
    assert "█" in stats
    assert run("stats", "--since", "24h", "--where", "prompt=q").stdout == "No request matches.\n"
    refused = run("report", "--group-by", "colour")
    assert (refused.returncode, "--group-by" in refused.stderr) == (2, True)


def test_sparklines_show_place_and_gaps() -> None:
    assert sparkline([0, 7, None, 3.5]) == "▁█ ▅"
    assert sparkline([2, 2]) == "▁▁"
    assert sparkline([]) == ""
