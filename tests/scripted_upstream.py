"""The test's side of `tests/upstream_server.py`: starting it, telling it what to play, asking what it got."""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.raw_http import Fields
from tests.upstream_server import BLOCK, Step

ORDER_SECONDS = 20

READ: Step = ["read", None]
"""Read the whole body of the request."""
ECHO: Step = ["echo"]
"""Answer with what was received, as JSON."""
GONE: Step = ["gone"]
"""Wait until the other side has closed the connection."""
CLOSE: Step = ["close"]
RESET: Step = ["reset"]
"""Close with RST instead of FIN."""

EVENT_STREAM = b"Content-Type: text/event-stream"


def send(data: bytes) -> Step:
    return ["send", data.decode("latin-1")]


def head(status: bytes, *fields: bytes) -> Step:
    """Send a head whose lines are these: `head(b"200 OK", b"Content-Length: 2")`."""
    return send(b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", b""]))


def chunk(data: bytes) -> Step:
    """Send a chunk; of nothing, the last one."""
    return send(b"%x\r\n%b\r\n" % (len(data), data))


def answer(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> list[Step]:
    """Read the request, then answer with a body of known length."""
    return [READ, head(status, b"Content-Length: %d" % len(body), *fields), send(body)]


def fill(size_bytes: int) -> Step:
    """Send so many bytes of a pattern; see `filling_digest`."""
    return ["fill", size_bytes]


def filling_digest(size_bytes: int) -> str:
    """SHA-256 of what `fill` sends."""
    digest = hashlib.sha256()
    for start in range(0, size_bytes, len(BLOCK)):
        digest.update(BLOCK[: size_bytes - start])
    return digest.hexdigest()


@dataclass(frozen=True)
class Received:
    """A request as it arrived. Fields in order and spelling; `body` only where it is short."""

    connection: int
    method: str
    target: str
    version: str
    fields: Fields
    sha256: str
    size: int
    body: bytes | None

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields with this lower-case name."""
        return [value for key, value in self.fields if key.lower() == name]


def to_received(shown: dict[str, Any]) -> Received:
    """Read what the provider tells of a request."""
    lines = [line.encode("latin-1").partition(b":") for line in shown["fields"]]
    body = None if shown["body"] is None else shown["body"].encode("latin-1")
    fields = [(name, value.strip(b" \t")) for name, _, value in lines]
    return Received(**{**shown, "fields": fields, "body": body})


class UpstreamProcess:
    """A scripted provider in a process of its own."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        files = [] if certificate is None else [str(certificate), str(key)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.upstream_server", *files],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port, order_port = map(int, self._process.stdout.readline().split())
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._socket = socket.create_connection(("127.0.0.1", order_port), ORDER_SECONDS)
        self._orders = self._socket.makefile("rwb")
        self._names = itertools.count()

    def name(self) -> str:
        """Return a name that no script or gate has yet."""
        return f"n{next(self._names)}"

    def script(self, *steps: Step) -> bytes:
        """Have these steps played to requests with the returned `x-script` field."""
        name = self.name()
        self._order({"script": name, "steps": steps})
        return b"x-script: " + name.encode()

    def default(self, *steps: Step) -> None:
        """Have these steps played to requests that name no script."""
        self._order({"default": steps})

    def open(self, gate: str) -> None:
        """Let scripts that wait at this gate go on."""
        self._order({"open": gate})

    def reached(self, gate: str) -> None:
        """Wait until a script has noted that it came this far."""
        self._order({"await": gate})

    def take(self) -> list[Received]:
        """Return the requests that came since the last call."""
        return [to_received(shown) for shown in self._order({"take": True})]

    def connected(self) -> int:
        """How many connections are open."""
        return int(self._order({"state": True})["connected"])

    def accepted(self) -> int:
        """How many connections were ever made."""
        return int(self._order({"state": True})["accepted"])

    def sent_bytes(self) -> int:
        """How much was ever sent, as far as the kernel took it."""
        return int(self._order({"state": True})["sent"])

    def _order(self, order: dict[str, object]) -> Any:
        self._orders.write(json.dumps(order).encode() + b"\n")
        self._orders.flush()
        return json.loads(self._orders.readline())

    def __enter__(self) -> UpstreamProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def wait(gate: str) -> Step:
    """Wait until the test opens this gate."""
    return ["wait", gate]


def note(gate: str) -> Step:
    """Tell the test that the script came this far."""
    return ["note", gate]


def read(size_bytes: int) -> Step:
    """Read so much more of the request's body."""
    return ["read", size_bytes]
