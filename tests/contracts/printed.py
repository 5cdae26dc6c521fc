"""Running the code that the vendors' pages on feedback print: host and key are changed, nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

ROOT = Path(__file__).parents[2]
NODE = ROOT / "examples/node"
FOLDER = Path(__file__).parent / "documents"

KEY = "gw-app-0123456789"
CONFIG = {"keys": [{"name": "app", "key": KEY, "role": ["proxy", "feedback", "read"]}]}
HOSTS = ("https://api.portkey.ai", "https://api.helicone.ai")
PRINTED_KEYS = ("<YOUR PORTKEY API KEY>", "PORTKEY_API_KEY", "YOUR_API_KEY")


class Block(BaseModel):
    """A block of code of a page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: str
    language: str
    code: str
    reason: str | None = None
    meant: str | None = None
    lacks: str | None = None


DOCUMENTS = {
    file.stem: [Block.model_validate(found) for found in yaml.safe_load(file.read_text())]
    for file in sorted(FOLDER.glob("*-feedback*.yaml"))
}


def printed(document: str, name: str) -> Block:
    """Return a block of a page."""
    [found] = [block for block in DOCUMENTS[document] if block.block == name]
    return found


def run(gateway: RunningGateway, code: str, *command: str, status: int = 0) -> str:
    """Run code with this gateway's host and key in the place of the printed ones; return what it wrote."""
    for host in HOSTS:
        code = code.replace(host, gateway.url)
    for key in PRINTED_KEYS:
        code = re.sub(rf"(?<!HELICONE_API)(?<![A-Z_]){re.escape(key)}", KEY, code)
    done = subprocess.run(
        [*command, code],
        cwd=NODE,
        env={**os.environ, "HELICONE_API_KEY": KEY, "PORTKEY_BASE_URL": f"{gateway.url}/v1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def bash(gateway: RunningGateway, code: str) -> str:
    return run(gateway, code, "bash", "-c")


def python(gateway: RunningGateway, code: str) -> str:
    return run(gateway, code, sys.executable, "-c")


def node(gateway: RunningGateway, code: str) -> str:
    return run(gateway, without_types(code), "node", "--input-type=module", "-e")


def without_types(code: str) -> str:
    """Code in TypeScript without the types that the pages use."""
    code = re.sub(r": (string|boolean|\{ requestId: string \})(?=[,)])", "", code)
    return re.sub(r"useState<[^>]+>", "useState", code)


def ask(gateway: RunningGateway, request_id: str | None = None, **headers: str) -> None:
    """Have a request answered and interpreted."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if request_id is not None:
        named["Helicone-Request-Id"] = request_id
    httpx.post(
        f"{gateway.url}/v1/chat/completions",
        headers={"x-portkey-api-key": KEY, **named},
        json={"model": "demo", "messages": [{"role": "user", "content": "Hello"}]},
    ).raise_for_status()
    unread = "SELECT count(*) FROM requests WHERE interpreted_at_us IS NULL"
    eventually(lambda: query(gateway.database, unread)[0][0] == 0)


def entries(gateway: RunningGateway, columns: str = "subject_id, value") -> list[tuple[Any, ...]]:
    found = query(gateway.database, f"SELECT {columns} FROM feedback ORDER BY seq")
    return [tuple(entry) for entry in found]
