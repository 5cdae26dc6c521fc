"""Portkey's gateway for Node, installed from the lock file beside this one.

The lock holds @hono/node-server back, since streams fail with newer ones (its issue 1389).
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.contestant import Contestant
from benchmarks.peers.installing import install

_HERE = Path(__file__).parent
_MODULES = _HERE / "node_modules"


def version() -> str:
    """Return the version that is measured."""
    wanted: str = json.loads((_HERE / "package.json").read_text())["dependencies"]["@portkey-ai/gateway"]
    return wanted


def _install() -> None:
    command = ["npm", "ci", "--prefix", str(_HERE), "--ignore-scripts", "--no-audit", "--no-fund"]
    install([command], wanted=_HERE / "package-lock.json", stamp=_MODULES / ".installed")


def _command_of(folder: Path, port: int, upstream_port: int) -> list[str]:
    program = _MODULES / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return [
        "node", "--import", str(_HERE / "loopback.mjs"), str(program), "--headless", f"--port={port}",
    ]  # fmt: skip


def _headers_of(upstream_port: int) -> tuple[str, ...]:
    return (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream_port}/v1",
        "Authorization: Bearer sk-bench",
    )


PORTKEY = Contestant(
    "portkey",
    _command_of,
    prepare=_install,
    environment={"NODE_ENV": "production"},
    headers_of=_headers_of,
    events_a_second=2000,
)
