"""`serve --demo-data`: stored once, marked, shown by every API, and never beside real traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from gateway.cli import demo_data
from gateway.cli.serve import serve_command
from gateway.config import Config, load_config
from gateway.errors import Conflict
from gateway.models.clock import now_us
from gateway.models.request import DEMO_REQUEST_ID, StoreTotals
from gateway.query.requests import RequestReader
from gateway.store import open_store
from tests.gateway_process import RunningGateway
from tests.store.samples import exchange

REQUESTS = 200
# Who speaks and what is changed later depends, of so few, on hour and weekday; here it is some of each.
ENDS_AT_US = 1_796_021_600_000_000
WEEK_US = 7 * 86_400_000_000


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    url = f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    return config_of(tmp_path, url)


def config_of(folder: Path, url: str) -> Config:
    file = folder / "demo.yaml"
    file.write_text("providers: {demo: {base_url: 'http://127.0.0.1:1/v1'}}\n")
    return load_config(file, {}, {"storage.url": url})


async def totals(config: Config) -> StoreTotals:
    store = await open_store(config.storage.url)
    try:
        return await store.store_totals()
    finally:
        await store.close()


async def test_it_is_stored_once(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "now_us", lambda: ENDS_AT_US)
    await demo_data.fill_demo_data(config, REQUESTS)
    filled = await totals(config)
    assert filled.requests == REQUESTS
    assert filled.cost_nanousd > 0
    assert filled.versions > filled.feedback > 20
    await demo_data.fill_demo_data(config, REQUESTS)
    assert await totals(config) == filled
    store = await open_store(config.storage.url)
    assert await RequestReader(store).has_demo_data(None)
    assert not await RequestReader(store).has_demo_data("a tenant")
    await store.close()


async def test_a_fill_that_was_interrupted_is_completed(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    async def interrupt(*_: object) -> int:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr("gateway.feedback.service.FeedbackService.insert_missing", interrupt)
        with pytest.raises(Interrupted):
            await demo_data.fill_demo_data(config, REQUESTS)
    assert (await totals(config)).feedback == 0
    await demo_data.fill_demo_data(config, REQUESTS)
    assert (await totals(config)).requests == REQUESTS
    assert (await totals(config)).feedback > 20


async def test_a_store_with_real_traffic_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, f"sqlite:///{tmp_path}/gateway.db")
    store = await open_store(config.storage.url)
    await store.append([exchange()])
    await store.close()
    with pytest.raises(Conflict, match=r"requests to '.*gateway-demo\.db"):
        await demo_data.fill_demo_data(config, REQUESTS)
    assert (await totals(config)).requests == 1


def test_it_needs_the_demo() -> None:
    refused = CliRunner().invoke(serve_command, ["--demo-data"])
    assert refused.exit_code == 2
    assert "needs --demo" in refused.output


async def test_every_api_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same_hour_us = now_us() - (now_us() - ENDS_AT_US) % WEEK_US
    monkeypatch.setattr(demo_data, "now_us", lambda: same_hour_us)
    await demo_data.fill_demo_data(config_of(tmp_path, f"sqlite:///{tmp_path}/gateway.db"), REQUESTS)
    with RunningGateway(tmp_path, {}, arguments=("--demo", "--demo-data")) as gateway:

        def get(path: str, **parameters: str) -> Any:
            return httpx.get(f"{gateway.url}{path}", params=parameters).raise_for_status().json()

        assert "demo data is there already" in gateway.log()
        oldest = get(f"/api/v1/requests/{DEMO_REQUEST_ID}")
        assert (oldest["key_name"], oldest["metadata"]["demo"]) == ("demo-data", True)
        assert len(get("/api/v1/requests", limit="500", **{"metadata.demo": "true"})["data"]) == REQUESTS
        for groups in ("traces", "sessions", "users"):
            assert get(f"/api/v1/{groups}")["data"]
        by_version = get("/api/v1/aggregates", group_by="prompt,prompt_version")["data"]
        assert {"support-reply", "sales-writer", "contract-summary"} <= {row["group"] for row in by_version}
        assert sum(row["requests"] for row in by_version) == REQUESTS
        entries = get("/api/v1/feedback", limit="500")["data"]
        assert {row["dialect"] for row in entries} == {"helicone", "native", "pharia", "portkey"}
        assert {row["source"] for row in entries} == {"human", "model"}
        assert [row["trace_id"] for row in entries if row["joined_at"] is None]
        period = {"time_of_generation_min": "15d", "time_of_generation_max": "now"}
        assert get("/v1/analytics/graphs/feedbacks", **period)
