"""`gateway serve`: run the gateway, and print the first commands to try."""

import json
import logging
import os
import sys
from pathlib import Path

import click

from gateway.cli.options import DEFAULT_FILE, DEMO_FILE, config_option, find_config_file, storage_option
from gateway.config import Config, load_config
from gateway.models.addresses import database_name
from gateway.runtime import config_warnings
from gateway.server.process import configure_logs
from gateway.server.run import run

log = logging.getLogger("gateway.server")

# The provider that `serve --demo` adds, and its model.
DEMO_PROVIDER = "demo"
DEMO_MODEL = "demo-chat"

TRACE_ID = "my-first-trace"

_JSON_HEADER = "-H 'content-type: application/json'"
_TRACE_HEADER = f"-H 'x-portkey-trace-id: {TRACE_ID}'"
_FEEDBACK_BODY = f'\'{{"id":"{TRACE_ID}","thumb":"up"}}\''
_KEY_HEADER = '-H "x-portkey-api-key: $GATEWAY_KEY"'


def welcome_text(config: Config, url: str, *, has_demo_data: bool = False) -> str:
    """Return the commands to try first: a call, a stream, feedback on both; and where the demo data is."""
    needs_key = bool(config.keys) and config.server.auth == "keys"
    key = f" {_KEY_HEADER}" if needs_key else ""
    chat = f"{url}/v1/chat/completions {_JSON_HEADER} {_TRACE_HEADER}{key}"
    lines = [
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
        f"Web pages:          {url}/ui/",
        f"What was logged:    {url}/api/v1/traces/{TRACE_ID}",
        *_demo_data_lines(config, url, has_demo_data),
        f"All paths:          {url}/docs",
        f"Data:               {database_name(config.storage.url)}",
        "",
    ]
    return "\n".join(lines)


def _demo_data_lines(config: Config, url: str, has_demo_data: bool) -> list[str]:
    if has_demo_data:
        return [f"Demo data:          {url}/api/v1/requests?metadata.demo=true"]
    is_demo = config.default_provider == DEMO_PROVIDER
    return ["A week of examples: start it with --demo --demo-data"] if is_demo else []


def _shell_variables(provider: str | None, needs_key: bool) -> list[str]:
    model = [f"  MODEL=...          # one that {provider or 'the provider'} serves"]
    if provider == DEMO_PROVIDER:
        model = []
    key = ["  GATEWAY_KEY=...    # with the roles proxy, feedback and read"] if needs_key else []
    return ["Set first:", *model, *key, ""] if model or key else []


def _chat_body(provider: str | None, **more: object) -> str:
    model = DEMO_MODEL if provider == DEMO_PROVIDER else "'\"$MODEL\"'"
    messages = [{"role": "user", "content": "What is a gateway?"}]
    body = json.dumps({"model": "", "messages": messages, **more}, separators=(",", ":"))
    return f"'{body}'".replace('"model":""', f'"model":"{model}"', 1)


@click.command("serve")
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8787]")
@click.option("--workers", type=int, help="Number of processes that serve.  [default: 1]")
@storage_option
@click.option("--demo", "is_demo", is_flag=True, help="Add a built-in provider that answers without a key.")
@click.option(
    "--demo-data",
    "has_demo_data",
    is_flag=True,
    help="With --demo: fill the database with a week of example requests and feedback, once.",
)
def serve_command(
    config_file: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    storage: str | None,
    is_demo: bool,
    has_demo_data: bool,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; requests in flight finish first.

    The first line on standard output is where it listens; its log goes to standard error. SIGHUP reloads the
    configuration.
    """
    if has_demo_data and not is_demo:
        raise click.UsageError("--demo-data needs --demo: it is for trying out, not for real traffic.")
    flags = {"server.host": host, "server.port": port, "server.workers": workers, "storage.url": storage}
    file = find_config_file(config_file, DEMO_FILE if is_demo else DEFAULT_FILE)

    def load(demo_url: str | None) -> Config:
        demo: dict[str, object] = {}
        if demo_url is not None:
            demo = {f"providers.{DEMO_PROVIDER}": {"base_url": demo_url}, "default_provider": DEMO_PROVIDER}
        config = load_config(file, os.environ, {**flags, **demo})
        configure_logs(config.logging)
        for field, fault in config_warnings(config):
            log.warning("%s %s %s", field, fault.says, fault.do)
        return config

    def announce(config: Config, url: str) -> None:
        # Programs that start a gateway wait for this line and take the URL from it.
        click.echo(f"listening on {url}")
        if is_demo or sys.stdout.isatty():
            click.echo(welcome_text(config, url, has_demo_data=has_demo_data))

    async def prepare(config: Config) -> None:
        if has_demo_data:
            # Imports every API, which a start without it shall not wait for.
            from gateway.cli.demo_data import fill_demo_data

            await fill_demo_data(config)

    run(load, announce, has_demo=is_demo, prepare=prepare)
