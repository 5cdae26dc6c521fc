"""Gateway processes of tests, forked from a process that has imported the gateway.

Importing its modules is most of what starting a gateway costs, and tests start hundreds.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import itertools
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
INGESTER = "server.ingester"
_MAX_DESCRIPTORS = 1024

_CONTEXT = multiprocessing.get_context("forkserver")
# The main module too, or each process would import pytest.
_CONTEXT.set_forkserver_preload(["__main__", "tests.forked_start"])


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
        from gateway.server import child_process

        child_process.spawn_process = _Forks(child_process.spawn_process)
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


class _ForkedWorker:
    """A worker, with what its supervisor needs of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._has_ended = False

    def wait(self) -> int:
        """Return its exit code once it has ended; the negative number of the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        self._has_ended = True
        return os.waitstatus_to_exitcode(status)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        if not self._has_ended:
            os.kill(self.pid, signal.SIGTERM)


class _Forks:
    """Does as the gateway does, but for the import of all modules in each process that it starts."""

    def __init__(self, spawn: Callable[..., Any]) -> None:
        self._spawn = spawn
        self._ingesters = 0

    def __call__(self, module: str, descriptors: Sequence[int] = ()) -> Any:
        if module.endswith(".ingester"):
            self._ingesters += 1
            if self._ingesters > 1:
                # The gateway has the database open by now, and SQLite takes its locks for those of a child.
                return self._spawn(module, descriptors)
        return _fork(module, descriptors)


def _fork(module: str, descriptors: Sequence[int]) -> tuple[_ForkedWorker, socket.socket]:
    end, its_end = socket.socketpair()
    with its_end:
        # A signal for the child must not find the handlers of its parent.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if pid == 0:
            _run_module(module, its_end.fileno(), {*descriptors}, signals)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    return _ForkedWorker(pid), end


def _run_module(
    module: str, channel: int, inherited: set[int], signals: set[int | signal.Signals]
) -> NoReturn:
    code = 1
    try:
        # What the parent left behind would close descriptors by their numbers, which are others' soon.
        gc.freeze()
        asyncio._set_running_loop(None)
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _keep_only({0, 1, 2, channel, *inherited})
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_NAME, module.removeprefix("gateway.").encode())
        sys.argv = [module, str(channel)]
        importlib.import_module(module).main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _keep_only(descriptors: set[int]) -> None:
    for before, after in itertools.pairwise([*sorted(descriptors), _MAX_DESCRIPTORS]):
        os.closerange(before + 1, after)
