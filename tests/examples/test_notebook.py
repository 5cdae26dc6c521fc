"""The notebook is kept without outputs, and its cells run one after the other against a gateway with demo data."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo_data import fill_demo_data
from gateway.cli.options import DEFAULT_FILE
from gateway.config import load_config
from tests.examples.running import EXAMPLES
from tests.gateway_process import RunningGateway

pandas = pytest.importorskip("pandas")

REQUESTS = 300
CELLS: list[dict[str, Any]] = json.loads((EXAMPLES / "analysis.ipynb").read_text("utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs() -> None:
    assert [cell["id"] for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []


def test_its_cells_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(DEFAULT_FILE, {}, {"storage.url": f"sqlite:///{tmp_path}/gateway.db"})
    asyncio.run(fill_demo_data(config, REQUESTS))
    with RunningGateway(tmp_path, {}, arguments=("--demo",)) as gateway:
        monkeypatch.setenv("GATEWAY_URL", gateway.url)
        monkeypatch.delenv("GATEWAY_KEY", raising=False)
        names: dict[str, Any] = {}
        for number, source in enumerate(CODE, 1):
            exec(compile(source, f"code cell {number}", "exec"), names)
        names["client"].close()
    requests, by_model, bad = names["requests"], names["by_model"], names["bad"]
    assert len(requests) == by_model.requests.sum() + requests.model.isna().sum() >= REQUESTS
    assert by_model.cost_usd.sum() == pytest.approx(requests.loc[requests.model.notna(), "cost_usd"].sum())
    assert int(names["by_day"].requests.sum()) == len(requests)
    assert (bad.score < 0).all()
    assert bad.question.notna().any()
    assert names["complaints"].sum() > 0
    assert names["comparison"].summary in capsys.readouterr().out
