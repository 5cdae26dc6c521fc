"""Gateway processes of tests, forked from a process that has imported the gateway.

Importing its modules is most of what starting a gateway costs, and tests start hundreds.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_MAX_DESCRIPTORS = 1024

_CONTEXT = multiprocessing.get_context("forkserver")
# The main module too, or each process would import pytest.
_CONTEXT.set_forkserver_preload(["__main__", "gateway.cli.serve"])


class ForkedProcess:
    """A gateway process, with what tests need of `subprocess.Popen`."""

    def __init__(self, process: ForkServerProcess, stdout: IO[str]) -> None:
        self._process = process
        self.stdout = stdout
        assert process.pid is not None
        self.pid = process.pid

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended; the negative number of the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it has not, in so many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("gateway", timeout or 0)
        return self._process.exitcode


def start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> ForkedProcess:
    """Start `gateway` with these arguments in a folder; its standard error goes to `log`."""
    reading, writing = os.pipe()
    process = _GatewayProcess(list(arguments), str(folder), dict(environment), (writing, log.fileno()))
    process.start()
    os.close(writing)
    return ForkedProcess(process, os.fdopen(reading, encoding="utf-8"))


class _GatewayProcess(ForkServerProcess):
    def __init__(
        self, arguments: list[str], folder: str, environment: dict[str, str], outputs: tuple[int, int]
    ) -> None:
        # A daemon, so that the end of the tests does not wait for one that a test left running.
        super().__init__(daemon=True)
        self._gateway = arguments, folder, environment
        self._outputs = outputs

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_outputs": [DupFd(output) for output in self._outputs]}

    def run(self) -> None:
        from gateway.cli import main

        if sys.platform == "linux":
            # It ends with the fork server, and that with the tests, however they end.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, output in enumerate(self._outputs, start=1):
            os.dup2(output.detach(), number)  # type: ignore[attr-defined]
        # The fork server runs for as long as any process has the other end of its pipe.
        os.closerange(3, _MAX_DESCRIPTORS)
        arguments, folder, environment = self._gateway
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["gateway", *arguments]
        main()
