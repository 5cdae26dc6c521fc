"""`gateway doctor`: find problems of a deployment. A check is a function of this package, listed in `CHECKS`."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import orjson

from gateway.cli.doctor.findings import Check, Deployment, Finding, Level
from gateway.cli.doctor.network import check_descriptors, check_keys, check_port, check_providers
from gateway.cli.doctor.storage import check_database, check_disk, check_feedback, check_files
from gateway.cli.options import config_option, find_config_file, is_store_missing
from gateway.config import load_config
from gateway.errors import StoreEmpty, StoreUnavailable
from gateway.store import StoreInfo, inspect_store, local_path

CHECKS: Sequence[Check] = (
    check_files, check_disk, check_database, check_feedback, check_keys, check_port, check_descriptors,
    check_providers,
)  # fmt: skip

_MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}


@click.command("doctor")
@config_option
@click.option("--offline", is_flag=True, help="Do not try to reach the providers.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as one JSON array.")
def doctor_command(config_file: Path | None, offline: bool, as_json: bool) -> None:
    """Find problems of a deployment, with their fixes.

    Changes nothing, and may be run beside a gateway. Run it as the user that the gateway runs as. Exits with 1 if
    there is a problem.
    """
    deployment = _read_deployment(find_config_file(config_file))
    checks = [check for check in CHECKS if check is not check_providers or not offline]
    findings = [finding for check in checks for finding in check(deployment)]
    if as_json:
        click.echo(orjson.dumps(findings, option=orjson.OPT_INDENT_2))
    else:
        _print_findings(findings)
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise click.exceptions.Exit(1)


def _read_deployment(file: Path) -> Deployment:
    config = load_config(file, os.environ)
    storage = config.storage
    database = local_path(storage.url, Path(storage.local_dir))
    return Deployment(config, file, database, _inspect_store(storage.url))


def _inspect_store(url: str) -> StoreInfo | StoreUnavailable | None:
    if is_store_missing(url):
        return None
    try:
        return inspect_store(url)
    except StoreEmpty:
        return None
    except StoreUnavailable as error:
        return error


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        click.echo(f"{_MARKS[finding.level]}  {finding.about}: {finding.says}")
        if finding.do is not None:
            click.echo(f"         → {finding.do}")
    counts = [sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)]
    click.echo(f"{counts[0]} problems, {counts[1]} warnings")
