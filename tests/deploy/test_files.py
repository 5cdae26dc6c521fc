"""What is in `deploy/` agrees with itself and with the gateway."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.config import load_config
from tests.cli.command import plain_environment, run_gateway
from tests.conftest import StartGateway

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
SECRETS = {"GATEWAY_APP_KEY": "app-key-0123456789", "GATEWAY_ADMIN_KEY": "ops-key-0123456789"}


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def container() -> dict[str, Any]:
    [stateful] = documents("kubernetes/statefulset.yaml")
    [found] = stateful["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_the_configuration_is_one_that_a_gateway_takes() -> None:
    config = load_config(DEPLOY / "gateway.yaml", {**plain_environment(), **SECRETS})
    assert (config.server.host, config.server.port) == ("0.0.0.0", 8787)
    assert {key.name for key in config.keys} == {"app", "ops"}


def test_it_starts_nowhere_without_keys(tmp_path: Path) -> None:
    refused = run_gateway("serve", "-c", str(DEPLOY / "gateway.yaml"), cwd=tmp_path)
    assert refused.returncode == 2
    assert "GATEWAY_APP_KEY" in refused.stderr


def test_kubernetes_has_the_same_configuration() -> None:
    assert (DEPLOY / "kubernetes/gateway.yaml").read_text() == (DEPLOY / "gateway.yaml").read_text()


def test_options_that_compose_sets_are_options() -> None:
    [compose] = documents("compose.yaml")
    check_options(compose["services"]["gateway-1"]["environment"])


def test_options_that_kubernetes_sets_are_options() -> None:
    [secret] = documents("kubernetes/secret.example.yaml")
    check_options({entry["name"]: entry["value"] for entry in container()["env"]} | secret["stringData"])


def check_options(values: Mapping[str, str]) -> None:
    """What is set from outside leads to PostgreSQL and to the volume, and has the secrets that the file names."""
    given = {
        name: re.sub(r"\$\{\w+:\?\}|PASSWORD", "x", value)
        for name, value in values.items()
        if name.startswith("GATEWAY__")
    }
    config = load_config(DEPLOY / "gateway.yaml", {**plain_environment(), **SECRETS, **given})
    assert config.storage.url.startswith("postgresql://gateway:x@")
    assert config.storage.local_dir == "/data"
    assert set(SECRETS) <= set(values)


def test_there_is_time_to_drain_before_anybody_is_killed() -> None:
    config = load_config(DEPLOY / "gateway.yaml", {**plain_environment(), **SECRETS})
    [stateful] = documents("kubernetes/statefulset.yaml")
    [compose] = documents("compose.yaml")
    unit = service()
    least = config.server.drain_seconds + 10
    assert stateful["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= least + 5
    assert int(compose["services"]["gateway-1"]["stop_grace_period"].removesuffix("s")) >= least
    assert int(unit["TimeoutStopSec"]) >= least


def test_probes_are_answered(start_gateway: StartGateway) -> None:
    gateway = start_gateway({}, arguments=("--demo",))
    for probe in ("livenessProbe", "readinessProbe"):
        assert httpx.get(gateway.url + container()[probe]["httpGet"]["path"]).status_code == 200


def test_the_image_s_health_check_tells_a_gateway_from_none(start_gateway: StartGateway) -> None:
    text = (ROOT / "Dockerfile").read_text()
    command = yaml.safe_load(text[text.index("HEALTHCHECK") :].partition("CMD ")[2].partition("\n")[0])
    gateway = start_gateway({}, arguments=("--demo",))
    code = command[2].replace("127.0.0.1:8787", f"127.0.0.1:{gateway.port}")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    gateway.stop()
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode != 0
    )


def test_what_the_image_copies_is_there_and_is_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    taken = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied <= taken
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_has_the_packages_of_every_store_and_exporter_that_can_be_configured() -> None:
    extras = re.search(r"/src\[([a-z,]+)\]", (ROOT / "Dockerfile").read_text())
    assert extras is not None
    assert set(extras[1].split(",")) == {"otel", "postgres"}
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"otel", "postgres"} <= set(known)


def test_image_and_manifests_run_as_the_same_nobody() -> None:
    [stateful] = documents("kubernetes/statefulset.yaml")
    context = stateful["spec"]["template"]["spec"]["securityContext"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert context["runAsNonRoot"]


def test_the_unit_s_command_is_one_of_ours(tmp_path: Path) -> None:
    program, *arguments = shlex.split(service()["ExecStart"])
    assert program == "/opt/gateway/bin/gateway"
    checked = run_gateway(
        "check", *arguments[1:2], str(DEPLOY / "gateway.yaml"), cwd=tmp_path, environment=SECRETS
    )
    assert (arguments[0], checked.returncode) == ("serve", 0), checked.stderr


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "gateway.service")
    return parser["Service"]
