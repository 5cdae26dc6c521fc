"""`gateway check`: validate a configuration and show its effect."""

import os
from pathlib import Path

import click

from gateway.cli.options import config_option, find_config_file, is_store_missing
from gateway.config import Config, load_config
from gateway.models.addresses import database_name, is_loopback
from gateway.routing.providers import chat_url
from gateway.runtime import (
    build_alert_rules,
    build_reporter,
    build_router,
    build_routes,
    config_warnings,
    require_keys,
)
from gateway.store import check_driver, inspect_store


@click.command("check")
@config_option
def check_command(config_file: Path | None) -> None:
    """Check a configuration without starting anything.

    Prints the values in effect, GATEWAY__SECTION__KEY variables included, and the URL of a chat call for each
    provider; or every problem with its file, line and column, and then exits with 2.
    """
    file = find_config_file(config_file)
    config = load_config(file, os.environ)
    _check_startable(config)
    click.echo(f"{file}: ok")
    for name, value in _summary(config):
        click.echo(f"  {name:<10} {value}")
    click.echo("A chat call would go to:")
    for name, provider in config.providers.items():
        url = chat_url(provider.base_url, provider.version_path, provider.auth)
        click.echo(f"  {name:<10} {url}")
    for field, fault in config_warnings(config):
        click.echo(f"warning: {file}: {field}: {fault.says} {fault.do}".rstrip(), err=True)


def _check_startable(config: Config) -> None:
    """Raise what would keep a gateway with this configuration from starting on this machine."""
    build_router(config)
    build_routes(config)
    build_alert_rules(config)
    build_reporter(config).close()
    url = config.storage.url
    check_driver(url)
    if config.keys or config.server.auth == "off" or is_loopback(config.server.host):
        return
    inspection = None if is_store_missing(url) else inspect_store(url)
    if inspection is None or not inspection.key_roles:
        require_keys(config)


def _summary(config: Config) -> list[tuple[str, str]]:
    server, storage = config.server, config.storage
    how_stored = f"durability {storage.durability}, payloads {storage.payloads}"
    return [
        ("listens on", f"{server.host}:{server.port}"),
        ("providers", ", ".join(config.providers)),
        ("default", _describe_default_provider(config)),
        ("keys", _describe_keys(config)),
        ("routes", ", ".join(config.routes) or "none here"),
        ("alerts", ", ".join(alert.name for alert in config.alerts) or "none here"),
        ("storage", f"{database_name(storage.url)} ({how_stored})"),
    ]


def _describe_default_provider(config: Config) -> str:
    if config.default_provider is not None:
        return config.default_provider
    return next(iter(config.providers)) if len(config.providers) == 1 else "none; callers must name one"


def _describe_keys(config: Config) -> str:
    if config.server.auth == "off":
        return "not needed (auth: off)"
    if not config.keys:
        return "none here; see `gateway keys list` for those in the store"
    return ", ".join(f"{key.name} ({', '.join(sorted(key.roles))})" for key in config.keys)
