"""A worker's place, as the supervisor sees it: who is in it, and what is known of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain.figures import Figures, lasting
from gateway.errors import GatewayError
from gateway.server.channel import Channel, open_channel
from gateway.server.messages import Begin, Count, Counted, Failed, Leaving, Message, Serving

COUNT_SECONDS = 1.0
"""How long a worker may take to tell its figures; after that those that it told last are taken."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: why, and after how long."""

    error: Exception
    lived_seconds: float


class Place:
    """A place that one worker at a time has."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_serving = False
        self._figures: Figures = {}
        self._counted = asyncio.Event()
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def figures(self) -> Figures:
        """What is known of its figures; while it is empty, what was counted by those who had it."""
        return self._figures if self.is_serving else lasting(self._figures)

    async def fill(
        self,
        begin: Callable[[], Begin],
        inherited: Sequence[Sequence[int]],
        heed: Callable[[Place, Message], None],
    ) -> Ended:
        """Have a worker in it, and return how that ended.

        Args:
            begin: what the worker is told first, asked for when it can be told.
            inherited: descriptors that the worker has too.
            heed: told each message of the worker's, once the place itself has taken note of it. If it dies without
                a word it is taken to say that it leaves.

        Raises:
            OSError: no process can be started.
        """
        began_at = time.monotonic()
        process, end = _start(inherited)
        self._process = process
        channel = self._channel = await open_channel(end)
        channel.send(begin())
        error: Exception | None = None
        async for message in channel:
            match message:
                case Serving():
                    self.is_serving = True
                case Leaving():
                    self.is_serving = False
                case Counted(figures):
                    self._figures = figures
                    self._counted.set()
                case Failed(reason):
                    error = reason
            heed(self, message)
        self.is_serving = False
        self._counted.set()
        heed(self, Leaving())
        code = await asyncio.to_thread(process.wait)
        await channel.close()
        return Ended(error or GatewayError(_how(code)), time.monotonic() - began_at)

    def send(self, message: Message) -> None:
        """Tell the worker something, if there is one."""
        if self._channel is not None:
            self._channel.send(message)

    async def count(self) -> None:
        """Bring its figures up to date."""
        if self.is_serving:
            self._counted.clear()
            self.send(Count())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._counted.wait(), COUNT_SECONDS)

    def stop(self) -> None:
        """Tell the worker to finish what is in flight and end."""
        if self._process is not None:
            self._process.terminate()


def _start(inherited: Sequence[Sequence[int]]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a worker with an interpreter of its own; return it, and our end of the channel to it."""
    end, workers_end = socket.socketpair()
    descriptor = workers_end.fileno()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.server.worker", str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor, *itertools.chain.from_iterable(inherited)],
            # Ctrl-C on a terminal is for the supervisor alone.
            process_group=0,
        )
    except OSError:
        end.close()
        raise
    finally:
        workers_end.close()
    return process, end


def _how(code: int) -> str:
    if code < 0:
        return f"a worker was killed by signal {-code}."
    return f"a worker ended with exit code {code}."
