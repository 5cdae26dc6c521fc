"""Who can read and write the files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.config.models import SHA256_PREFIX
from gateway.domain.database_url import password_of

_OTHERS = 0o077


def check_files(deployment: Deployment) -> Iterator[Finding]:
    """The database, what lies beside it, and the configuration if it holds secrets, are their owner's alone."""
    yield from _check_folder(deployment.database.parent)
    beside = sorted(deployment.database.parent.glob(f"{escape(deployment.database.name)}*"))
    open_files = [file for file in beside if file.is_file() and _is_open_to_others(file)]
    for file in open_files:
        yield problem(
            "files", f"{file} can be read by others: it holds prompts and answers.", f"chmod 600 {file}"
        )
    if beside and not open_files:
        yield ok("files", "the database is readable by its owner alone")
    yield from _check_configuration(deployment)


def _check_folder(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield problem("files", f"the folder {folder} of the database is not there.", f"mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            "files",
            f"{folder} cannot be written by this user: SQLite and rows that wait need it.",
            f"chown it to the user that the gateway runs as, or run this as that user: {folder}",
        )


def _check_configuration(deployment: Deployment) -> Iterator[Finding]:
    file = deployment.config_file
    in_clear = list(_secrets_in_clear(deployment))
    if not in_clear:
        yield ok("files", f"no secret stands in {file.name}")
        return
    named = ", ".join(in_clear)
    if _is_open_to_others(file):
        yield problem(
            "files",
            f"{file} can be read by others, and holds secrets: {named}.",
            f"chmod 600 {file}; better, write ${{VARIABLE}} and set it where the gateway is started",
        )
    else:
        yield warning(
            "files",
            f"{file} holds secrets: {named}.",
            "Write ${VARIABLE} and set it where the gateway is started, or sha256: and the hash of a key.",
        )


def _secrets_in_clear(deployment: Deployment) -> Iterator[str]:
    text, config = deployment.config_file.read_text("utf-8"), deployment.config
    secrets = {f"keys.{key.name}": key.key for key in config.keys}
    secrets |= {f"providers.{name}.api_key": p.api_key for name, p in config.providers.items() if p.api_key}
    secrets |= {f"feedback.tokens.keys[{n}]": key for n, key in enumerate(config.feedback.tokens.keys)}
    values = {name: secret.get_secret_value() for name, secret in secrets.items()}
    if (password := password_of(config.storage.url)) is not None:
        values["storage.url"] = password
    return (name for name, value in values.items() if value in text and not value.startswith(SHA256_PREFIX))


def _is_open_to_others(file: Path) -> bool:
    return bool(file.stat().st_mode & _OTHERS)
