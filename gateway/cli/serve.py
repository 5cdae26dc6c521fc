"""`gateway serve`: run the gateway, and print the first commands to try."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.cli.options import DEFAULT_FILE, DEMO_FILE, config_option, find_config_file, storage_option
from gateway.config import Config, load_config
from gateway.models.addresses import database_name
from gateway.runtime import config_warnings
from gateway.server.process import configure_logs
from gateway.server.run import run, run_with_demo

DEMO_PROVIDER = "demo"
"""Name of the provider that `serve --demo` adds."""

DEMO_MODEL = "demo-chat"
"""What that provider is asked for."""

TRACE_ID = "my-first-trace"

_JSON_HEADER = "-H 'content-type: application/json'"
_TRACE_HEADER = f"-H 'x-portkey-trace-id: {TRACE_ID}'"
_FEEDBACK_BODY = f'\'{{"id":"{TRACE_ID}","thumb":"up"}}\''
_KEY_HEADER = '-H "x-portkey-api-key: $GATEWAY_KEY"'


def welcome_text(config: Config, url: str) -> str:
    """Return what is printed below the URL: a call, a stream, feedback on both, the data and the pages.

    With the demo the commands work as they are. Otherwise the model, and the gateway key where callers need
    one, come from shell variables that a line before the commands sets.
    """
    needs_key = bool(config.keys) and config.server.auth == "keys"
    key = f" {_KEY_HEADER}" if needs_key else ""
    chat = f"{url}/v1/chat/completions {_JSON_HEADER} {_TRACE_HEADER}{key}"
    return "\n".join(
        [
            "",
            *_shell_variables(config.default_provider, needs_key),
            "Ask something:",
            f"  curl {chat} -d {_chat_body(config.default_provider)}",
            "",
            "Ask for a stream:",
            f"  curl -N {chat} -d {_chat_body(config.default_provider, stream=True)}",
            "",
            "Give feedback on both:",
            f"  curl {url}/api/v1/feedback {_JSON_HEADER}{key} -d {_FEEDBACK_BODY}",
            "",
            f"What was logged:    {url}/api/v1/traces/{TRACE_ID}",
            f"All paths:          {url}/docs",
            f"Data:               {database_name(config.storage.url)}",
            "",
        ]
    )


def _shell_variables(provider: str | None, needs_key: bool) -> list[str]:
    """Lines that set the variables which the commands use; none where they use none."""
    model = (
        []
        if provider == DEMO_PROVIDER
        else [f"  MODEL=...          # one that {provider or 'the provider'} serves"]
    )
    key = ["  GATEWAY_KEY=...    # with the roles proxy, feedback and read"] if needs_key else []
    return ["Set first:", *model, *key, ""] if model or key else []


def _chat_body(provider: str | None, **more: object) -> str:
    """The body of a chat call, as the shell takes it."""
    model = DEMO_MODEL if provider == DEMO_PROVIDER else "'\"$MODEL\"'"
    messages = [{"role": "user", "content": "What is a gateway?"}]
    body = json.dumps({"model": "", "messages": messages, **more}, separators=(",", ":"))
    return f"'{body}'".replace('"model":""', f'"model":"{model}"', 1)


log = logging.getLogger("gateway.server")

Flags = Mapping[str, object]


@click.command("serve")
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8787]")
@click.option("--workers", type=int, help="Number of processes that serve.  [default: 1]")
@storage_option
@click.option("--demo", "is_demo", is_flag=True, help="Add a built-in provider that answers without a key.")
def serve_command(
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
        _serve_demo(find_config_file(config_file, DEMO_FILE), flags)
    else:
        _serve(find_config_file(config_file, DEFAULT_FILE), flags)


def _serve(file: Path, flags: Flags) -> None:
    config = _load(file, flags)

    def announce(url: str) -> None:
        _announce(url)
        if sys.stdout.isatty():
            click.echo(welcome_text(config, url))

    run(config, lambda: _load(file, flags), announce)


def _serve_demo(file: Path, flags: Flags) -> None:
    def load(base_url: str) -> Config:
        provider = {f"providers.{DEMO_PROVIDER}": {"base_url": base_url}, "default_provider": DEMO_PROVIDER}
        return _load(file, {**flags, **provider})

    def announce(config: Config, url: str) -> None:
        _announce(url)
        click.echo(welcome_text(config, url))

    run_with_demo(load, announce)


def _load(file: Path, flags: Flags) -> Config:
    config = load_config(file, os.environ, flags)
    configure_logs(config.logging.level, config.logging.format)
    for field, fault in config_warnings(config):
        log.warning("%s %s %s", field, fault.says, fault.do)
    return config


def _announce(url: str) -> None:
    """Programs that start a gateway wait for this line and take the URL from it."""
    click.echo(f"listening on {url}")
