"""Who is measured. Everyone gets a folder of its own, a port, and the port of the upstream."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CommandOf = Callable[[Path, int, int], list[str]]
"""(folder, port, upstream's port) → the command that serves on that port, in the foreground. What it needs besides
is written into the folder first."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something to put between the load and the upstream.

    Args:
        name: what it is called in tables and on the command line.
        keeps: what it keeps of each call, for people.
        command_of: how it is started; None for nothing at all, the load then goes to the upstream itself.
        headers: header lines that its callers have to send.
        takes_feedback: whether feedback can be posted to /v1/feedback.
    """

    name: str
    keeps: str
    command_of: CommandOf | None
    headers: tuple[str, ...] = ()
    takes_feedback: bool = False


def _nginx(folder: Path, port: int, upstream_port: int) -> list[str]:
    (folder / "nginx.conf").write_text(
        f"""
daemon off;
pid nginx.pid;
worker_processes 1;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    upstream provider {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _gateway(folder: Path, port: int, upstream_port: int, workers: int = 1) -> list[str]:
    config = folder / "gateway.yaml"
    config.write_text(
        f"""
server: {{host: 127.0.0.1, port: {port}, workers: {workers}, drain_seconds: 5}}
storage: {{url: "sqlite:///{folder / "gateway.db"}", durability: commit, payloads: full}}
providers:
  mock: {{base_url: "http://127.0.0.1:{upstream_port}/v1"}}
"""
    )
    return [sys.executable, "-m", "gateway", "serve", "-c", str(config)]


DIRECT = Contestant("direct", "nothing; there is nothing in between", None)
NGINX = Contestant("nginx", "nothing", _nginx)
GATEWAY = Contestant(
    "gateway", "row and payloads, committed before the answer ends", _gateway, takes_feedback=True
)
GATEWAY_PAIR = Contestant(
    "gateway-2", "the same, by two workers", functools.partial(_gateway, workers=2), takes_feedback=True
)

CONTESTANTS = (DIRECT, NGINX, GATEWAY, GATEWAY_PAIR)


def environment() -> dict[str, str]:
    """Return what servers need in their environment: the gateway is found where this package was."""
    root = str(Path(__file__).resolve().parent.parent)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
