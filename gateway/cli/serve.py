"""`gateway serve`: from flags to a running gateway."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.cli.sources import DEFAULT_FILE, DEMO_FILE, config_option, find_file, storage_option
from gateway.cli.welcome import DEMO, welcome
from gateway.config import Config, load_config
from gateway.provisioning import faults_of
from gateway.server.demo_mode import run_with_demo
from gateway.server.logs import configure_logs
from gateway.server.run import run

log = logging.getLogger("gateway.server")

Flags = Mapping[str, object]


@click.command("serve")
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8787]")
@click.option("--workers", type=int, help="Number of processes that serve.  [default: 1]")
@storage_option
@click.option("--demo", "is_demo", is_flag=True, help="Add a built-in provider that answers without a key.")
def command(
    config_file: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    storage: str | None,
    is_demo: bool,
) -> None:
    """Run the gateway until it is told to stop.

    The first line on standard output says where it listens; its log goes to standard error. On SIGTERM and
    Ctrl-C requests in flight finish first. SIGHUP reads the configuration again.
    """
    flags = {"server.host": host, "server.port": port, "server.workers": workers, "storage.url": storage}
    if is_demo:
        _serve_demo(find_file(config_file, DEMO_FILE), flags)
    else:
        _serve(find_file(config_file, DEFAULT_FILE), flags)


def _serve(file: Path, flags: Flags) -> None:
    config = _load(file, flags)

    def announce(url: str) -> None:
        _announce(url)
        if sys.stdout.isatty():
            click.echo(welcome(config, url))

    run(config, lambda: _load(file, flags), announce)


def _serve_demo(file: Path, flags: Flags) -> None:
    def load(base_url: str) -> Config:
        provider = {f"providers.{DEMO}": {"base_url": base_url}, "default_provider": DEMO}
        return _load(file, {**flags, **provider})

    def announce(config: Config, url: str) -> None:
        _announce(url)
        click.echo(welcome(config, url))

    run_with_demo(load, announce)


def _load(file: Path, flags: Flags) -> Config:
    config = load_config(file, os.environ, flags)
    configure_logs(config.logging.level, config.logging.format)
    for field, fault in faults_of(config):
        log.warning("%s %s %s", field, fault.says, fault.do)
    return config


def _announce(url: str) -> None:
    """Programs that start a gateway wait for this line and take the URL from it."""
    click.echo(f"listening on {url}")
