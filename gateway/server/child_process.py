"""Processes that this one starts and replaces: workers and the ingester."""

import itertools
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

STABLE_UPTIME_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0


class RestartBackoff:
    """Pauses before a process is replaced: none after a long uptime, longer after each short one."""

    def __init__(self, max_pause_seconds: float = MAX_PAUSE_SECONDS) -> None:
        self._max_pause_seconds = max_pause_seconds
        self._next_seconds = 0.0

    def next_pause(self, uptime_seconds: float) -> float:
        """Return the seconds to wait, given the uptime of the process that ended."""
        if uptime_seconds >= STABLE_UPTIME_SECONDS:
            self._next_seconds = 0.0
        pause = self._next_seconds
        self._next_seconds = min(max(2 * pause, FIRST_PAUSE_SECONDS), self._max_pause_seconds)
        return pause


class ChildProcess(Protocol):
    """What is needed of `subprocess.Popen`."""

    def wait(self) -> int: ...

    def terminate(self) -> None: ...


# A process, and this end of its channel.
Spawned = tuple[ChildProcess, socket.socket]


def spawn_process(module: str, descriptors: Sequence[int] = ()) -> Spawned:
    """Start a module, which inherits descriptors; return it and this end of its channel. Raises OSError."""
    end, its_end = socket.socketpair()
    descriptor = its_end.fileno()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor, *descriptors],
            # Ctrl-C on a terminal is for the first process alone.
            process_group=0,
        )
    except OSError:
        end.close()
        raise
    finally:
        its_end.close()
    return process, end


def flatten(descriptors: Sequence[Sequence[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(descriptors))


def exit_reason(what: str, code: int) -> str:
    return f"{what} was killed by signal {-code}." if code < 0 else f"{what} ended with exit code {code}."
