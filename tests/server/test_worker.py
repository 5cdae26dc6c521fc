"""A worker process with a test in the place of its supervisor."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config.models import Config
from gateway.errors import BadInput
from gateway.server.channel import (
    Channel,
    CoverSlot,
    Draining,
    Failed,
    Message,
    MetricsReport,
    PeerMetrics,
    QueryPeers,
    Reload,
    Serving,
    Start,
    UncoverSlot,
    open_channel,
)
from gateway.server.listeners import bind_per_worker, close_all, listener_url
from gateway.store.journal_files import GatewayJournal

ROOT = Path(__file__).parents[2]
SECONDS = 30
CALLERS = 20
PATIENCE_SECONDS = 1


class WorkerProcess:
    """A worker in place 0 of two, and the test in the place of its supervisor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slots = bind_per_worker("127.0.0.1", 0, 2)
        self.url = listener_url("127.0.0.1", self.slots[0])
        self.channel: Channel
        self.process: subprocess.Popen[bytes]

    def config(self, *providers: str, **sections: Any) -> Config:
        """A configuration with these providers, which cannot be reached."""
        given = {name: {"base_url": "http://127.0.0.1:1/v1"} for name in providers}
        storage = {"url": f"sqlite:///{self.folder}/gateway.db"}
        return Config.model_validate(
            {"server": {"workers": 2}, "storage": storage, "providers": given, **sections}
        )

    async def begin(self, config: Config, reloaded: Config | None = None) -> None:
        """Start the worker and tell it what to serve."""
        end, workers_end = socket.socketpair()
        descriptors = [[listener.fileno() for listener in listeners] for listeners in self.slots]
        self.process = _start(self.folder, workers_end, list(itertools.chain(*descriptors)))
        workers_end.close()
        self.channel = await open_channel(end)
        journal = GatewayJournal.create(self.folder / "gateway.db.journal")
        self.channel.send(Start(0, config, reloaded or config, {}, journal.folder, descriptors))
        journal.close()

    async def expect(self, kind: type[Message]) -> Any:
        """Return the next message of a kind; others are passed over."""
        async with asyncio.timeout(SECONDS):
            async for message in self.channel:
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"the worker ended before it said {kind.__name__}")

    async def ended(self) -> int:
        """Return the exit code once it has ended."""
        return await asyncio.to_thread(self.process.wait, SECONDS)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return await client.get(path, headers=headers)

    async def count_answered(self) -> int:
        """Return how many of some callers are answered."""
        return sum(await asyncio.gather(*(self._is_answered() for _ in range(CALLERS))))

    async def _is_answered(self) -> bool:
        reader, writer = await asyncio.open_connection(*self.slots[0][0].getsockname())
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: gateway.localhost\r\n\r\n")
        try:
            return await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS) == b"HTTP/1.1 200 OK\r\n"
        except TimeoutError:
            return False
        finally:
            writer.close()


async def eventually(worker: WorkerProcess, is_right: Callable[[int], bool]) -> None:
    """Return once as many callers are let in as should be."""
    async with asyncio.timeout(SECONDS):
        while not is_right(await worker.count_answered()):
            pass


def _start(folder: Path, end: socket.socket, descriptors: list[int]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway.server.worker", str(end.fileno())]
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stderr=log, pass_fds=[end.fileno(), *descriptors])


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    worker = WorkerProcess(tmp_path)
    yield worker
    worker.process.terminate()
    await worker.ended()
    await worker.channel.close()
    for listeners in worker.slots:
        close_all(listeners)


async def test_it_serves_what_was_reloaded_last(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("old"), worker.config("new"))
    await worker.expect(Serving)
    assert "new" in (await worker.get("/nowhere/x")).text
    worker.channel.send(Reload(worker.config("newer")))
    async with asyncio.timeout(SECONDS):
        while "newer" not in (await worker.get("/nowhere/x")).text:
            pass


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        ({"server": {"host": "0.0.0.0", "workers": 2}}, BadInput),
        ({"providers": {"up": {"base_url": "http://a", "ca_file": "/does/not/exist.pem"}}}, BadInput),
    ],
)
async def test_it_says_why_it_cannot_serve(
    worker: WorkerProcess, sections: dict[str, Any], error: type[Exception]
) -> None:
    await worker.begin(worker.config("up", **sections))
    failed = await worker.expect(Failed)
    assert type(failed.error) is error
    assert await worker.ended() == 1


async def test_one_that_cannot_follow_leaves_and_says_why(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("up"))
    await worker.expect(Serving)
    worker.channel.send(
        Reload(worker.config(providers={"up": {"base_url": "http://a", "ca_file": "/does/not/exist.pem"}}))
    )
    await worker.expect(Draining)
    failed = await worker.expect(Failed)
    assert type(failed.error) is BadInput
    assert await worker.ended() == 1


async def test_one_that_is_told_to_stop_says_that_it_leaves_and_what_it_has_counted(
    worker: WorkerProcess,
) -> None:
    await worker.begin(worker.config("up"))
    await worker.expect(Serving)
    assert (await worker.get("/v1/models")).status_code == 502
    worker.process.terminate()
    await worker.expect(Draining)
    report = await worker.expect(MetricsReport)
    assert report.metrics["gateway_worker_starts"].values[("gateway_worker_starts_total", ())] == 1
    assert await worker.ended() == 0


async def test_one_that_is_left_alone_ends(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("up"))
    await worker.expect(Serving)
    await worker.channel.close()
    assert await worker.ended() == 0


async def test_one_whose_supervisor_is_gone_before_it_begins_ends(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("up"))
    await worker.channel.close()
    assert await worker.ended() == 0


async def test_it_lets_in_the_callers_of_another_place_while_that_is_empty(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("up"))
    await worker.expect(Serving)
    worker.slots[1][0].listen()
    assert 0 < await worker.count_answered() < CALLERS
    worker.channel.send(CoverSlot(1))
    await eventually(worker, lambda count: count == CALLERS)
    worker.channel.send(UncoverSlot(1))
    await eventually(worker, lambda count: 0 < count < CALLERS)


async def test_the_figures_of_others_are_asked_for_when_figures_are_asked_for(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("up"))
    await worker.expect(Serving)
    asked = asyncio.create_task(worker.get("/metrics"))
    query_id = await worker.expect(QueryPeers)
    own = await worker.expect(MetricsReport)
    worker.channel.send(PeerMetrics(query_id.query_id, [own.metrics]))
    assert "\ngateway_workers 2.0\n" in (await asked).text


async def test_figures_are_told_without_others_when_there_are_none_any_more(worker: WorkerProcess) -> None:
    await worker.begin(worker.config("up"))
    await worker.expect(Serving)
    asked = asyncio.create_task(worker.get("/metrics"))
    await worker.expect(QueryPeers)
    await worker.channel.close()
    assert "\ngateway_workers 1.0\n" in (await asked).text
