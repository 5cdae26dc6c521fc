"""A configuration from text, as the tests write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config.errors import ConfigError
from gateway.config.loader import load_config
from gateway.config.models import Config

Load = Callable[..., Config]
Refuse = Callable[..., list[str]]

PROVIDER = "providers: {local: {base_url: http://127.0.0.1:11434/v1}}\n"
"""Enough to be a configuration, for tests that are about something else."""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a configuration from the text of a file."""

    def run(text: str, env: Mapping[str, str] | None = None, **flags: object) -> Config:
        file = tmp_path / "gateway.yaml"
        file.write_text(dedent(text))
        return load_config(file, env or {}, flags)

    return run


@pytest.fixture
def refuse(load: Load, tmp_path: Path) -> Refuse:
    """Load a configuration that must be refused; return the lines of the error, without the folder."""

    def run(text: str, env: Mapping[str, str] | None = None, **flags: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, env, **flags)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return run
