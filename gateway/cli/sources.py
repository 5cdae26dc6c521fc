"""Where a command finds its configuration and its store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

FILE_HERE = Path("gateway.yaml")
"""Used where no file is named."""

_PACKAGED = Path(__file__).parent.parent / "config"
DEFAULT_FILE = _PACKAGED / "default.yaml"
DEMO_FILE = _PACKAGED / "demo.yaml"

Function = TypeVar("Function", bound=Callable[..., Any])


def config_option(function: Function) -> Function:
    """Add `-c FILE` to a command."""
    return click.option(
        "-c",
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        envvar="GATEWAY_CONFIG",
        help="Configuration file; GATEWAY_CONFIG in the environment names it, too.  [default: gateway.yaml here if"
        " there is one, else a built-in one]",
    )(function)


def storage_option(function: Function) -> Function:
    """Add `--storage URL` to a command."""
    return click.option(
        "--storage", metavar="URL", help="Where the data is, such as sqlite:///gateway.db; over the file's."
    )(function)


def find_file(named: Path | None, otherwise: Path = DEFAULT_FILE) -> Path:
    """Return the configuration file to use: the named one, else the one here, else a packaged one."""
    if named is not None:
        return named
    return FILE_HERE if FILE_HERE.exists() else otherwise


def file_of(url: str) -> Path:
    """Return the absolute path of the file that a storage URL names."""
    return Path(url.removeprefix("sqlite:///")).absolute()


def storage_url(config_file: Path | None, storage: str | None) -> str:
    """Return where the data is. The configuration is read, and must be good, only if `storage` is None."""
    if storage is not None:
        return storage
    # Costs as much time as all else that such a command imports.
    from gateway.config import load_config

    return load_config(find_file(config_file), os.environ).storage.url
