"""One process that serves alone."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway import __version__
from gateway.config.models import Config
from gateway.running import Worker
from gateway.server.listeners import bind, url_of
from gateway.server.serving import serving
from gateway.server.signals import on_signals

log = structlog.get_logger("gateway.server")


async def serve_alone(config: Config, reload: Callable[[], Config], on_ready: Callable[[str], None]) -> None:
    """Do in this process what `gateway.server.run` says."""
    async with serving(config, Worker()) as house:
        gateway = house.gateway

        def take_over(new: Config) -> None:
            gateway.reload(new)
            log.info("configuration reloaded", providers=list(new.providers))

        listeners = bind(config.server.host, config.server.port)
        url = url_of(config.server.host, listeners)
        await house.let_in(listeners)
        stop = on_signals(config, reload, take_over)
        log.info("started", url=url, version=__version__, providers=list(config.providers))
        on_ready(url)
        await stop.wait()
        log.info(
            "stopping", in_flight=len(gateway.proxy.in_flight), drain_seconds=config.server.drain_seconds
        )
    log.info("stopped")
