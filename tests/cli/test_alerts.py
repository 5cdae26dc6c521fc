from __future__ import annotations

import asyncio
import json
from pathlib import Path

from gateway.models.clock import now_us
from gateway.store import open_store
from tests.cli.conftest import Run
from tests.store.samples import exchange

MINUTE_US = 60_000_000
CONFIG = """
providers: {local: {base_url: http://127.0.0.1:9/v1}}
alerts:
  - {name: errors, measure: error_rate, above: 0.05, settle: 0s}
"""


async def fill(folder: Path) -> None:
    store = await open_store(f"sqlite:///{folder}/gateway.db")
    now = now_us()
    await store.append(
        [
            exchange(f"r{n}", f"t{n}", status=500 if n % 2 else 200, started_at_us=now - n * MINUTE_US // 2)
            for n in range(100)
        ]
    )
    await store.close()


def test_alerts_are_listed_tried_added_and_deleted(run: Run, tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path))
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    assert "alerts     errors" in run("check").stdout
    tried = run("alerts", "preview", "errors", "--days", "1")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.startswith("errors would have fired once from ")
    options = ("--measure", "requests", "--below", "5", "--where", "status=5xx", "--window", "2h")
    assert run("alerts", "add", "few", *options).stdout.startswith("added 'few'")
    listed = [json.loads(line) for line in run("alerts", "list", "--json").stdout.splitlines()]
    assert [(each["name"], each["is_from_file"], each["test"]) for each in listed] == [
        ("errors", True, "sequential"), ("few", False, "none"),
    ]  # fmt: skip
    assert "not looked at yet" in run("alerts", "list").stdout
    assert run("alerts", "history").stdout.split() == ["AT", "(UTC)", "WHAT", "ALERT", "MESSAGE"]
    assert run("alerts", "delete", "few").stdout == "deleted 'few'\n"
    refused = run("alerts", "delete", "errors")
    assert (refused.returncode, "of the configuration file" in refused.stderr) == (1, True)
    (tmp_path / "gateway.yaml").write_text(CONFIG.replace("0.05", "5"))
    wrong = run("check")
    assert wrong.returncode == 2
    assert "alerts.0.above: must be from 0 to 1 for error_rate (share); got 5." in wrong.stderr
