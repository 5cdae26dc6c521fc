from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.command import run_gateway
from tests.client.chat_calls import ask
from tests.gateway_process import RunningGateway

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `gateway` with these arguments in an empty folder."""
    return partial(run_gateway, cwd=tmp_path)


@dataclass(frozen=True, slots=True)
class Played:
    """A running gateway that has something in its log: a whole answer, then a stream, on one trace.

    `folder` is its working directory; its gateway.yaml is found there by every command.
    """

    gateway: RunningGateway
    whole: str
    stream: str
    stream_bytes: bytes

    def run(self, *arguments: str) -> CompletedProcess[str]:
        """Run a command beside it."""
        return run_gateway(*arguments, cwd=self.gateway.folder)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    config = {"providers": {"other": {"base_url": "http://127.0.0.1:1/v1"}}}
    folder = tmp_path_factory.mktemp("played")
    with RunningGateway(folder, config, arguments=("--demo",)) as gateway:
        whole = ask(gateway.url, "first")
        stream = ask(gateway.url, "first", stream=True)
        yield Played(gateway, whole.headers["helicone-id"], stream.headers["helicone-id"], stream.content)
