"""`gateway doctor`: what is wrong, or may become so, with a deployment, and what to do about it.

A check is a function in a file of this folder and a line in `CHECKS`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from gateway.cli.doctor.database import check_database
from gateway.cli.doctor.disk import check_disk
from gateway.cli.doctor.feedback import check_feedback
from gateway.cli.doctor.files import check_files
from gateway.cli.doctor.findings import Check, Deployment, Finding, Level
from gateway.cli.doctor.keys import check_keys
from gateway.cli.doctor.network import check_descriptors, check_port
from gateway.cli.doctor.providers import check_providers
from gateway.cli.sources import config_option, find_file
from gateway.cli.stores import is_missing
from gateway.config import load_config
from gateway.errors import StoreEmpty, StoreUnavailable
from gateway.store import Examined, examine_store, spill_path

CHECKS: Sequence[Check] = (
    check_files, check_disk, check_database, check_feedback, check_keys, check_port, check_descriptors,
    check_providers,
)  # fmt: skip

_MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}


@click.command("doctor")
@config_option
@click.option("--offline", is_flag=True, help="Do not try to reach the providers.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as one JSON array.")
def command(config_file: Path | None, offline: bool, as_json: bool) -> None:
    """Look at a deployment, and say what to do where something is wrong.

    Changes nothing, and may be run beside a gateway. Run it as the user that the gateway runs as. Exits with 1 if
    there is a problem, with 0 if there are warnings at most.
    """
    deployment = _deployment(find_file(config_file))
    checks = [check for check in CHECKS if check is not check_providers or not offline]
    findings = [finding for check in checks for finding in check(deployment)]
    if as_json:
        click.echo(
            orjson.dumps([asdict(finding) for finding in findings], option=orjson.OPT_INDENT_2).decode()
        )
    else:
        _print(findings)
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise click.exceptions.Exit(1)


def _deployment(file: Path) -> Deployment:
    config = load_config(file, os.environ)
    storage = config.storage
    database = spill_path(storage.url, 0, Path(storage.local_dir)).with_suffix("")
    return Deployment(config, file, database, _examined(storage.url))


def _examined(url: str) -> Examined | StoreUnavailable | None:
    if is_missing(url):
        return None
    try:
        return examine_store(url)
    except StoreEmpty:
        return None
    except StoreUnavailable as error:
        return error


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        click.echo(f"{_MARKS[finding.level]}  {finding.about}: {finding.says}")
        if finding.do is not None:
            click.echo(f"         → {finding.do}")
    counts = [sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)]
    click.echo(f"{counts[0]} problems, {counts[1]} warnings")
