"""What a person who starts the gateway is shown: three commands to paste, and where things are."""

from __future__ import annotations

import json

from gateway.config import Config
from gateway.domain.database_url import name_of

DEMO = "demo"
"""Name of the provider that `serve --demo` adds."""

MODEL = "demo-chat"
"""What that provider is asked for."""

TRACE_ID = "my-first-trace"

_JSON = "-H 'content-type: application/json'"
_TRACE = f"-H 'x-portkey-trace-id: {TRACE_ID}'"
_FEEDBACK = f'\'{{"id":"{TRACE_ID}","thumb":"up"}}\''
_KEY = '-H "x-portkey-api-key: $GATEWAY_KEY"'


def welcome(config: Config, url: str) -> str:
    """Return what is printed below the URL: a call, a stream, feedback on both, the data and the pages.

    With the demo the commands work as they are. Otherwise the model, and the gateway key where callers need
    one, come from shell variables that a line before the commands sets.
    """
    needs_key = bool(config.keys) and config.server.auth == "keys"
    key = f" {_KEY}" if needs_key else ""
    chat = f"{url}/v1/chat/completions {_JSON} {_TRACE}{key}"
    return "\n".join(
        [
            "",
            *_settings(config.default_provider, needs_key),
            "Ask something:",
            f"  curl {chat} -d {_question(config.default_provider)}",
            "",
            "Ask for a stream:",
            f"  curl -N {chat} -d {_question(config.default_provider, stream=True)}",
            "",
            "Give feedback on both:",
            f"  curl {url}/api/v1/feedback {_JSON}{key} -d {_FEEDBACK}",
            "",
            f"What was logged:    {url}/api/v1/traces/{TRACE_ID}",
            f"All paths:          {url}/docs",
            f"Data:               {name_of(config.storage.url)}",
            "",
        ]
    )


def _settings(provider: str | None, needs_key: bool) -> list[str]:
    """Lines that set the variables which the commands use; none where they use none."""
    model = (
        [] if provider == DEMO else [f"  MODEL=...          # one that {provider or 'the provider'} serves"]
    )
    key = ["  GATEWAY_KEY=...    # with the roles proxy, feedback and read"] if needs_key else []
    return ["Set first:", *model, *key, ""] if model or key else []


def _question(provider: str | None, **more: object) -> str:
    """The body of a chat call, as the shell takes it."""
    model = MODEL if provider == DEMO else "'\"$MODEL\"'"
    messages = [{"role": "user", "content": "What is a gateway?"}]
    body = json.dumps({"model": "", "messages": messages, **more}, separators=(",", ":"))
    return f"'{body}'".replace('"model":""', f'"model":"{model}"', 1)
