from __future__ import annotations

import json
import shlex
from typing import Any

from gateway.cli.serve import welcome_text
from gateway.config.models import Config

KEY = {"name": "app", "key": "gw-a-key-that-is-long-enough", "role": "proxy"}


def config(**more: Any) -> Config:
    providers = {"mine": {"base_url": "http://127.0.0.1:1/v1"}}
    return Config.model_validate({"providers": providers, "default_provider": "mine", **more})


def commands(text: str, variables: dict[str, str]) -> list[list[str]]:
    """The commands as a shell would take them apart, with variables put in as it does in double quotes."""
    lines = [line for line in text.splitlines() if line.startswith("  curl ")]
    for name, value in variables.items():
        lines = [line.replace(f"${name}", value) for line in lines]
    return [shlex.split(line) for line in lines]


def test_without_the_demo_the_model_comes_from_a_variable() -> None:
    text = welcome_text(config(), "http://127.0.0.1:8787")
    assert "  MODEL=..." in text
    for command in commands(text, {"MODEL": "gpt-x"})[:2]:
        assert json.loads(command[-1])["model"] == "gpt-x"


def test_a_key_is_sent_where_callers_need_one() -> None:
    text = welcome_text(config(keys=[KEY]), "http://127.0.0.1:8787")
    assert "  GATEWAY_KEY=..." in text
    for command in commands(text, {"GATEWAY_KEY": "gw-1"}):
        assert "x-portkey-api-key: gw-1" in command
    assert "that-is-long" not in text


def test_no_key_is_sent_where_keys_are_off() -> None:
    text = welcome_text(config(keys=[KEY], server={"auth": "off"}), "http://127.0.0.1:8787")
    assert "x-portkey-api-key" not in text
