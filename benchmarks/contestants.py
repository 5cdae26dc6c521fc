"""Who is measured. Everyone gets a folder of its own, a port, and the port of the upstream."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.contestant import Contestant
from benchmarks.peers.litellm import LITELLM
from benchmarks.peers.nginx import NGINX
from benchmarks.peers.portkey import PORTKEY

_ROOT = Path(__file__).resolve().parent.parent


def gateway(workers: int = 1, url: str | None = None) -> Contestant:
    """Return this gateway with so many processes, on this store; None: a file of its own."""

    def command_of(folder: Path, port: int, upstream_port: int) -> list[str]:
        config = folder / "gateway.yaml"
        config.write_text(
            f"""
server: {{host: 127.0.0.1, port: {port}, workers: {workers}, drain_seconds: 5}}
storage:
  url: "{url or f"sqlite:///{folder / 'gateway.db'}"}"
  local_dir: "{folder}"
  durability: commit
  payloads: full
providers:
  mock: {{base_url: "http://127.0.0.1:{upstream_port}/v1", max_connections: 4000}}
"""
        )
        return [sys.executable, "-m", "gateway", "serve", "-c", str(config)]

    # The gateway is found where this package was.
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return Contestant(
        "gateway" if workers == 1 else f"gateway-{workers}",
        command_of,
        environment={"PYTHONPATH": path},
        logs=True,
        takes_feedback=True,
    )


DIRECT = Contestant("direct", None)
GATEWAY = gateway()

CONTESTANTS = (DIRECT, NGINX, GATEWAY, PORTKEY, LITELLM)
