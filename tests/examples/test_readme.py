"""What examples/README.md tells to type before an example works as printed."""

from __future__ import annotations

import re
import shutil
import subprocess

import httpx
import pytest

from tests.conftest import StartGateway
from tests.examples.running import EXAMPLES

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_the_lines_before_browser_feedback_make_a_gateway_that_signs_tokens(
    start_gateway: StartGateway,
) -> None:
    [lines] = [block for block in BLOCK.findall((EXAMPLES / "README.md").read_text()) if "TOKENS" in block]
    *exports, serve = [line.removeprefix("$ ") for line in lines.splitlines()]
    assert serve == "gateway serve --demo"
    told = subprocess.run(
        ["bash", "-euc", "\n".join([*exports, "env -0"])], capture_output=True, text=True, check=True
    ).stdout
    environment = dict(line.split("=", 1) for line in told.split("\0") if line.startswith("GATEWAY__"))

    gateway = start_gateway({}, arguments=("--demo",), environment=environment)

    body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
    reply = httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
    token = {"x-gateway-feedback-token": reply.headers["x-gateway-feedback-token"]}
    vote = {"id": reply.headers["helicone-id"], "thumb": "up"}
    origin = {"Origin": "http://127.0.0.1:8788"}
    given = httpx.post(f"{gateway.url}/api/v1/feedback", json=vote, headers=token | origin)
    assert (given.status_code, given.headers["access-control-allow-origin"]) == (200, origin["Origin"])
