"""None"""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.serve import welcome_text
from gateway.config.models import Config
from tests.cli.command import COMMAND, plain_environment
from tests.cli.conftest import Run
from tests.client.chat_calls import ask
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway

NOWHERE = {"providers": {"nowhere": {"base_url": "http://127.0.0.1:1/v1"}}}


class Demo:
    """`gateway serve --demo` with nothing else, as a newcomer starts it."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, "serve", "--demo", "--port", "0"],
            cwd=folder,
            env=plain_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.lines: list[str] = []
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("Data:"):
                break

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=30)
        return self._process.returncode


def test_the_demo_starts_with_nothing_and_its_commands_work_as_printed(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    try:
        url = demo.lines[0].removeprefix("listening on ")
        commands = [line for line in demo.lines if line.startswith("  curl ")]
        assert len(commands) == 3
        chat, stream, feedback = (
            subprocess.run(
                ["bash", "-c", f"{command} -sS --fail"], capture_output=True, text=True, check=True
            )
            for command in commands
        )
        assert '"chat.completion"' in chat.stdout
        assert stream.stdout.endswith("data: [DONE]\n\n")
        assert '"joined":true' in feedback.stdout
        pages, logged = (
            next(line.split()[-1] for line in demo.lines if line.startswith(label))
            for label in ("Web pages", "What was logged")
        )
        assert "my-first-trace" in httpx.get(f"{pages}requests", follow_redirects=True).text
        trace = httpx.get(logged).json()
        assert [request["is_stream"] for request in trace["requests"]] == [False, True]
        down = {"trace_id": trace["trace_id"], "value": 0}
        assert httpx.post(f"{url}/v1/feedback", json=down).status_code == 200
        given = httpx.get(logged).json()["feedback"]
        assert [(entry["value"], entry["score"]) for entry in given] == [(1, 1), (0, -1)]
        assert httpx.get(f"{url}/docs").status_code == 200
        assert demo.lines[-1].endswith(f" {tmp_path}/gateway-demo.db")
        assert (tmp_path / "gateway-demo.db").exists()
        assert not (tmp_path / "gateway.db").exists()
    finally:
        assert demo.stop() == 0


def test_with_a_file_the_demo_is_one_provider_more_and_the_default(start_gateway: StartGateway) -> None:
    gateway = start_gateway(NOWHERE, arguments=("--demo",))
    assert ask(gateway.url, "t").headers["x-portkey-provider"] == "demo"
    to_other = httpx.post(f"{gateway.url}/v1/chat/completions", headers={"x-portkey-provider": "nowhere"})
    assert to_other.status_code == 502


@pytest.mark.parametrize("arguments", [(), ("--demo",)])
def test_hangup_reads_the_file_again(start_gateway: StartGateway, arguments: tuple[str, ...]) -> None:
    gateway = start_gateway(NOWHERE, arguments=arguments)
    gateway.write_config(
        {"providers": {**NOWHERE["providers"], "added": {"base_url": "http://127.0.0.1:2/v1"}}}
    )
    gateway.signal(signal.SIGHUP)
    wait_for(gateway, "configuration reloaded")
    reply = httpx.post(f"{gateway.url}/v1/models", headers={"x-portkey-provider": "unknown"})
    assert "added" in reply.text
    assert ("demo" in reply.text) == ("--demo" in arguments)


def wait_for(gateway: RunningGateway, text: str) -> None:
    """Return once the log holds the text; the suite's time limit ends a wait in vain."""
    while text not in gateway.log():
        time.sleep(0.01)


def test_a_base_url_that_ends_in_an_endpoint_is_logged_at_the_start_and_at_a_reload(
    start_gateway: StartGateway,
) -> None:
    wrong = {"providers": {"wrong": {"base_url": "http://127.0.0.1:1/v1/messages"}}}
    gateway = start_gateway(wrong)
    assert "Write http://127.0.0.1:1/v1." in gateway.log()
    later = {"providers": {"later": {"base_url": "http://127.0.0.1:2/v1/responses"}}}
    gateway.write_config(later)
    gateway.signal(signal.SIGHUP)
    wait_for(gateway, "Write http://127.0.0.1:2/v1.")


def test_sigterm_ends_it_with_exit_code_0(start_gateway: StartGateway) -> None:
    gateway = start_gateway(NOWHERE)
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    assert "Traceback" not in gateway.log()


def test_flags_stand_over_the_file(tmp_path: Path, start_gateway: StartGateway) -> None:
    storage = tmp_path / "elsewhere.db"
    gateway = start_gateway(NOWHERE, arguments=("--host", "localhost", "--storage", f"sqlite:///{storage}"))
    assert re.fullmatch(r"http://localhost:\d+", gateway.url)
    assert storage.exists()
    assert not gateway.database.exists()


def test_a_port_in_use_is_one_line_and_exit_code_1(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run("serve", "--port", str(port), environment={"GATEWAY__LOGGING__LEVEL": "error"})
    assert failed.returncode == 1
    assert failed.stdout == ""
    (line,) = failed.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(port) in line
    assert "in use" in line


def test_a_store_that_cannot_be_used_is_one_line_and_exit_code_1(run: Run) -> None:
    failed = run("serve", "--storage", "sqlite:///no/such/folder/gateway.db")
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("error: ")
    assert "no/such/folder" in line


@pytest.mark.parametrize("arguments", [[], ["--demo"]])
def test_a_bad_configuration_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    refused = run("serve", "--port", "99999", *arguments)
    assert refused.returncode == 2
    assert refused.stderr.startswith("command line: server.port: ")


def test_an_open_address_without_keys_is_bad_configuration(run: Run) -> None:
    refused = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "keys" in refused.stderr.splitlines()[-1]


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
