"""Counts the modules of the package that a call crosses before its last byte: `python -m tests.crossings`.

A module counts when a function of it runs, in any thread of an in-process gateway started as the server does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvloop
import yaml

import gateway
from gateway.app import WorkerContext
from gateway.config import Config, load_config
from gateway.server.http_server import open_http_server
from gateway.server.listeners import bind
from gateway.store.journal_files import GatewayJournal
from tests import raw_http
from tests.raw_http import request
from tests.scripted_upstream import UpstreamProcess, answer

ROUNDS = 5
SETTLE_SECONDS = 0.2

_PACKAGE = f"{Path(gateway.__file__).parent}/"
_JSON = b"Content-Type: application/json"
_TRACE = b"x-portkey-trace-id: crossings"
_CHAT = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}'
_COMPLETION = (
    b'{"id":"c1","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
CALLS = {
    "proxied JSON request": request(b"POST", b"/v1/chat/completions", _JSON, _TRACE, body=_CHAT),
    "Portkey feedback": request(b"POST", b"/v1/feedback", _JSON, body=b'{"trace_id":"crossings","value":1}'),
    "Helicone query": request(b"POST", b"/v1/request/query", _JSON, body=b'{"filter":"all","limit":10}'),
}


class Tracer:
    """Notes the files of the package in which functions run, in all threads begun since `install`."""

    def __init__(self) -> None:
        self._files: set[str] | None = None

    def install(self) -> None:
        """Begin to see calls."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)

    def uninstall(self) -> None:
        """See no more calls."""
        sys.setprofile(None)
        threading.setprofile(None)

    def files_during(self, action: Callable[[], None]) -> set[str]:
        """Return the files, relative to the package, in which a function ran while `action` did."""
        files = self._files = set()
        action()
        self._files = None
        return files

    def _on_event(self, frame: FrameType, event: str, argument: object) -> None:
        files, name = self._files, frame.f_code.co_filename
        if files is not None and event == "call" and name.startswith(_PACKAGE):
            files.add(name.removeprefix(_PACKAGE))


async def count_crossings() -> dict[str, list[str]]:
    """Return, for each call, the files that it crosses before its last byte."""
    tracer = Tracer()
    with tempfile.TemporaryDirectory() as folder, UpstreamProcess() as upstream:
        upstream.default(*answer(_COMPLETION, _JSON))
        config = _config(Path(folder), upstream.url)
        journal = GatewayJournal.create(Path(folder, "gateway.db.journal"))
        tracer.install()
        try:
            async with open_http_server(config, WorkerContext(journal)) as http_server:
                listeners = bind("127.0.0.1", 0)
                await http_server.accept(listeners)
                with raw_http.Connection(listeners[0].getsockname()[1]) as caller:
                    return {name: await _files_of(tracer, caller, call) for name, call in CALLS.items()}
        finally:
            tracer.uninstall()
            journal.close()


async def _files_of(tracer: Tracer, caller: raw_http.Connection, call: bytes) -> list[str]:
    """Return what every round after the first crosses."""
    rounds = []
    for _ in range(ROUNDS):
        await asyncio.sleep(SETTLE_SECONDS)
        rounds.append(await asyncio.to_thread(_trace_call, tracer, caller, call))
    # The first round pays for what is made once; what the gateway does beside a call is not in all rounds.
    files = set.intersection(*rounds[1:])
    return sorted(file for file in files if not file.endswith("__init__.py"))


def _trace_call(tracer: Tracer, caller: raw_http.Connection, call: bytes) -> set[str]:
    def answer_call() -> None:
        status = caller.call(call).status
        assert status == 200, status

    return tracer.files_during(answer_call)


def _config(folder: Path, upstream_url: str) -> Config:
    file = folder / "gateway.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "server": {"port": 0},
                "storage": {"url": f"sqlite:///{folder / 'gateway.db'}"},
                "providers": {"up": {"base_url": f"{upstream_url}/v1"}},
            }
        )
    )
    return load_config(file, {})


def main() -> None:
    """Print the files that each call crosses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name, files in runner.run(count_crossings()).items():
            sys.stdout.write(f"{name}: {len(files)} modules\n")
            sys.stdout.writelines(f"    {file}\n" for file in files)


if __name__ == "__main__":
    main()
