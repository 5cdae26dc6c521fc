"""Serve from start to stop: in one process or under a supervisor, with or without the demo upstream."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import structlog
import uvloop

from gateway import __version__
from gateway.app import WorkerContext
from gateway.config.models import Config
from gateway.demo import start_demo
from gateway.models.process_metrics import MetricFamilies
from gateway.server.http_server import open_http_server
from gateway.server.ingestion import Ingestion, open_ingestion
from gateway.server.listeners import bind, listener_url
from gateway.server.process import install_signal_handlers
from gateway.server.supervisor import supervise
from gateway.store.journal_files import GatewayJournal

log = structlog.get_logger("gateway.server")


Load = Callable[[str | None], Config]
OnReady = Callable[[Config, str], None]
Prepare = Callable[[Config], Awaitable[None]]


def run(load: Load, on_ready: OnReady, *, has_demo: bool = False, prepare: Prepare | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Args:
        load: reads the configuration, given the base URL of the demo upstream; called again on SIGHUP.
        on_ready: called with the configuration and the gateway's URL once it accepts connections.
        prepare: awaited before anything else uses the store.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(load, on_ready, has_demo, prepare))


async def _serve(load: Load, on_ready: OnReady, has_demo: bool, prepare: Prepare | None) -> None:
    async with AsyncExitStack() as stack:
        demo_url = None
        if has_demo:
            demo = await start_demo()
            stack.push_async_callback(demo.close)
            demo_url = demo.base_url
        config = load(demo_url)
        if prepare is not None:
            await prepare(config)
        serve = serve_in_one_process if config.server.workers == 1 else supervise
        await serve(config, lambda: load(demo_url), lambda url: on_ready(config, url))


async def serve_in_one_process(
    config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]
) -> None:
    """Serve in this process; see `run`."""
    async with (
        open_ingestion(config) as (journal, ingestion),
        open_http_server(config, _only_worker(journal, ingestion)) as http_server,
    ):
        gateway, server = http_server.gateway, config.server
        ingestion.on_usage = gateway.quotas.on_usage_stored

        def apply(new: Config) -> None:
            gateway.reload(new)
            ingestion.reload(new)
            log.info("configuration reloaded", providers=list(new.providers))

        listeners = bind(server.host, server.port)
        url = listener_url(server.host, listeners)
        await http_server.accept(listeners)
        stop = install_signal_handlers(config, reload, apply)
        await ingestion.wait_until_ready()
        log.info("started", url=url, version=__version__, providers=list(config.providers))
        on_ready(url)
        await stop.wait()
        in_flight = len(gateway.proxy.in_flight)
        log.info("stopping", in_flight=in_flight, drain_seconds=server.drain_seconds)
    log.info("stopped")


def _only_worker(journal: GatewayJournal, ingestion: Ingestion) -> WorkerContext:
    async def read_metrics() -> Sequence[MetricFamilies]:
        return [await ingestion.metrics()]

    return WorkerContext(journal, read_peers=read_metrics)
