"""Portkey's faces on a real server with a real store, called over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.api.portkey.exports import portkey_exporter
from gateway.api.portkey.feedback import portkey_feedback_api
from gateway.api.portkey.logs import portkey_logs_api
from gateway.datasets.files import ExportFiles, ExportLinks
from gateway.datasets.jobs import ExportJobs
from gateway.datasets.runner import ExportRunner
from gateway.feedback.payloads import Scale, signed_scale, thumb_scale
from gateway.feedback.service import FeedbackService
from gateway.models.exchange import PayloadPolicy
from gateway.models.principal import Principal, Role
from gateway.query.requests import RequestReader
from gateway.recording.interpreter import CostCalculator
from gateway.recording.log_ingestion import LogIngestionService
from gateway.store.base import Store
from gateway.wire.pricing import PriceTable
from tests.api.api_server import MIB, Serve

from .logs_served import LogsServed
from .served import Served

KEYS = {
    "app-key": Principal("app", frozenset({Role.FEEDBACK})),
    "proxy-key": Principal("proxy", frozenset({Role.PROXY, Role.READ})),
    "north-key": Principal("north", frozenset({Role.FEEDBACK}), tenant="north"),
    "south-key": Principal("south", frozenset({Role.FEEDBACK}), tenant="south"),
    "thumbs-key": Principal("thumbs", frozenset({Role.FEEDBACK})),
}


def scale_of(principal: Principal) -> Scale:
    return thumb_scale if principal.name == "thumbs" else signed_scale


@pytest.fixture
async def served(store: Store, serve: Serve) -> AsyncIterator[Served]:
    api = portkey_feedback_api(FeedbackService(store), scale_of, 16 * MIB)
    headers = {"x-portkey-api-key": "app-key"}
    url = await serve(api, principals=KEYS, store=store)
    async with httpx.AsyncClient(base_url=f"{url}/v1", headers=headers, trust_env=False) as client:
        yield Served(f"{url}/v1", client, store)


WHOLE = frozenset({Role.PROXY, Role.READ})
LOG_KEYS = {
    "all-key": Principal("all", WHOLE),
    "proxy-key": Principal("proxy", frozenset({Role.PROXY})),
    "read-key": Principal("read", frozenset({Role.READ})),
    "vote-key": Principal("vote", frozenset({Role.FEEDBACK})),
    "north-key": Principal("north", WHOLE, tenant="north"),
    "south-key": Principal("south", WHOLE, tenant="south"),
    "quiet-key": Principal("quiet", WHOLE),
}


def payloads_of(principal: Principal, provider: str) -> PayloadPolicy:
    return PayloadPolicy.OFF if principal.name == "quiet" else PayloadPolicy.FULL


def url_of(provider: str, path: str) -> str | None:
    return None if provider == "gone" else f"https://{provider}.test{path}"


@pytest.fixture
async def logs(store: Store, tmp_path: Path, serve: Serve) -> AsyncIterator[LogsServed]:
    pricing = CostCalculator(PriceTable({}, {}), lambda name: f"https://{name}")
    folder = tmp_path / "exports"
    files, exporter = ExportFiles(folder), portkey_exporter(url_of)
    runner = ExportRunner(store, files, {"portkey": exporter})
    api = portkey_logs_api(
        LogIngestionService(store, pricing, payloads_of, MIB),
        RequestReader(store),
        ExportJobs(store, files, runner, "portkey", exporter, "exportId"),
        ExportLinks(store),
        url_of,
        16 * MIB,
    )
    runner.start()
    url = await serve(api, principals=LOG_KEYS, store=store)
    async with httpx.AsyncClient(
        base_url=f"{url}/v1", headers={"x-portkey-api-key": "all-key"}, trust_env=False
    ) as client:
        yield LogsServed(f"{url}/v1", client, store, folder)
    await runner.close()
