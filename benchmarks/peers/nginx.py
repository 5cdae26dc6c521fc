"""nginx as a reverse proxy, what passing on costs at the least: one worker, kept connections, no buffering."""

from __future__ import annotations

from pathlib import Path
from shutil import which

from benchmarks.contestant import Contestant
from benchmarks.processes import Failed


def _look() -> None:
    if which("nginx") is None:
        raise Failed("nginx is missing (Debian: apt install nginx)")


def _command_of(folder: Path, port: int, upstream_port: int) -> list[str]:
    (folder / "nginx.conf").write_text(
        f"""
daemon off;
pid nginx.pid;
worker_processes 1;
worker_rlimit_nofile 8192;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_max_body_size 0;
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
            proxy_request_buffering off;
        }}
    }}
}}
"""
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


NGINX = Contestant("nginx", _command_of, prepare=_look)
