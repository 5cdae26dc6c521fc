"""Warnings about a usable configuration."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.models import Config
from gateway.runtime import config_warnings

LONG = "a-key-of-some-length"


@pytest.mark.parametrize(
    ("server", "key", "warning"),
    [
        ({"host": "0.0.0.0", "auth": "off"}, LONG, "server.auth is off, and 0.0.0.0 can be reached"),
        ({"host": "0.0.0.0"}, "short", "keys.app.key has 5 characters, and may be guessed"),
        ({"host": "127.0.0.1", "auth": "off"}, "short", ""),
        ({"host": "0.0.0.0"}, LONG, ""),
        ({"host": "0.0.0.0"}, "sha256:" + "0" * 64, ""),
    ],
)
def test_a_configuration_that_lets_strangers_in_is_warned_of(
    server: dict[str, Any], key: str, warning: str
) -> None:
    config = Config.model_validate(
        {
            "server": server,
            "providers": {"up": {"base_url": "http://127.0.0.1:1/v1"}},
            "keys": [{"name": "app", "key": key, "role": "admin"}],
        }
    )
    found = [f"{field} {fault.says} {fault.do}" for field, fault in config_warnings(config)]
    assert len(found) == bool(warning)
    assert all(each.startswith(warning) for each in found)
    assert key not in "".join(found)
