"""Who serves: an upstream, and contestants in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import request_of
from benchmarks.contestant import Contestant
from benchmarks.load import Answer, Loader
from benchmarks.processes import Failed, Server, Usage, free_port
from benchmarks.upstream import BRISK, Pace, mock_upstream

Say = Callable[[str], None]

_WARM_UP_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Running:
    """A contestant that serves; `server` is None where the load goes to the upstream itself."""

    contestant: Contestant
    port: int
    headers: tuple[str, ...]
    server: Server | None
    loader: Loader

    @property
    def name(self) -> str:
        """What it is called."""
        return self.contestant.name

    def send(
        self, request: bytes, *, connections: int, seconds: float, rate: float = 0, numbers: int | None = None
    ) -> list[Answer]:
        """Load it with a request; see `Loader.send`."""
        return self.loader.send(
            request, self.port, connections=connections, seconds=seconds, rate=rate, numbers=numbers
        )

    def settle(self) -> Usage:
        """Wait until it is at rest, and return what it has used by then; nothing where there is no server."""
        return self.server.settle() if self.server else Usage(0.0, 0)


def prepared(contestants: Sequence[Contestant], say: Say) -> list[Contestant]:
    """Install what contestants need, and return those who can take part; say why others cannot."""
    ready = []
    for contestant in contestants:
        try:
            contestant.prepare()
        except Failed as failure:
            say(f"{contestant.name} is left out: {failure}")
        else:
            ready.append(contestant)
    return ready


def warm_up(present: Sequence[Running], seconds: int) -> None:
    """Load all who serve at the same time, until their caches are filled and their code is compiled.

    Raises:
        Failed: a request failed.
    """
    served = [each for each in present if each.server]
    with ThreadPoolExecutor(max(len(served), 1)) as threads:
        loads = [threads.submit(_warm_up, each, seconds) for each in served]
    for load in loads:
        load.result()


def _warm_up(each: Running, seconds: int) -> None:
    request = request_of("json", "warm-up", each.headers)
    each.send(request, connections=_WARM_UP_CONNECTIONS, seconds=seconds)


@contextmanager
def running(contestants: Sequence[Contestant], folder: Path, pace: Pace = BRISK) -> Iterator[list[Running]]:
    """Serve the upstream and the contestants in front of it, with what they write in `folder`."""
    with ExitStack() as stack:
        folder.mkdir(parents=True)
        upstream, upstream_port = mock_upstream(folder, pace)
        stack.enter_context(upstream)
        loader = Loader(folder)
        yield [_start(contestant, folder, upstream_port, loader, stack) for contestant in contestants]


def _start(
    contestant: Contestant, folder: Path, upstream_port: int, loader: Loader, stack: ExitStack
) -> Running:
    headers = contestant.headers_of(upstream_port)
    if contestant.command_of is None:
        return Running(contestant, upstream_port, headers, None, loader)
    home, port = folder / contestant.name, free_port()
    home.mkdir()
    command = contestant.command_of(home, port, upstream_port)
    server = Server(command, port, home / "output.log", contestant.environment)
    return Running(contestant, port, headers, stack.enter_context(server), loader)
