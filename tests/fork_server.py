"""Where gateways of tests come from: a process that has imported the gateway once, and forks for each of them.

Loading its modules is most of what starting a gateway costs, and tests start hundreds. What runs is `gateway` with
the arguments given, a process of its own from there on, to its exit code. Each has a keeper, a fork that waits for
it, and through whose socket its number and its exit code come.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

_PR_SET_PDEATHSIG = 1
_MAX_ORDER_BYTES = 200_000
_NUMBER_BYTES = 64


class ForkedProcess:
    """A gateway process, with what `subprocess.Popen` would offer of it."""

    def __init__(self, watcher: socket.socket, stdout: IO[str]) -> None:
        self._watcher = watcher
        self._code: int | None = None
        self.stdout = stdout
        self.pid = int(watcher.recv(_NUMBER_BYTES))

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is known to have ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code once it has ended; the negative number of the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it has not, in so many seconds.
        """
        if self._code is None:
            self._watcher.settimeout(timeout)
            try:
                self._code = int(self._watcher.recv(_NUMBER_BYTES))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("gateway", timeout or 0) from None
            self._watcher.close()
        return self._code


def start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> ForkedProcess:
    """Start `gateway` with these arguments in a folder; what it says as errors goes to `log`."""
    reading, writing = os.pipe()
    ours, watchers_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    order = json.dumps([list(arguments), str(folder), dict(environment)]).encode()
    with watchers_end:
        socket.send_fds(_fork_server(), [order], [watchers_end.fileno(), writing, log.fileno()])
    os.close(writing)
    return ForkedProcess(ours, os.fdopen(reading, encoding="utf-8"))


@cache
def _fork_server() -> socket.socket:
    """Begin the process that forks; it ends when this one does. Orders go through the socket returned."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server", str(its.fileno())],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# in the nursery


def _serve(orders: socket.socket) -> None:
    """Fork for each order, until nobody can send one any more. Returns in a gateway that is to begin."""
    import gateway.cli.serve  # noqa: F401

    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _MAX_ORDER_BYTES, 3)
        if not order:
            sys.exit()
        if not os.fork():
            _end_with_parent()
            orders.close()
            watcher = socket.socket(fileno=descriptors[0])
            if not (pid := os.fork()):
                _end_with_parent()
                watcher.close()
                _set_up_process(json.loads(order), descriptors[1:])
                return
            _report_exit(pid, watcher)
        for descriptor in descriptors:
            os.close(descriptor)
        _reap_children()


def _end_with_parent() -> None:
    """Be killed where the parent is gone, as when whoever runs the tests breaks them off. Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _set_up_process(order: tuple[list[str], str, dict[str, str]], outputs: Sequence[int]) -> None:
    arguments, folder, environment = order
    for number, descriptor in enumerate(outputs, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["gateway", *arguments]


def _report_exit(pid: int, watcher: socket.socket) -> NoReturn:
    watcher.send(b"%d" % pid)
    _, status = os.waitpid(pid, 0)
    watcher.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _reap_children() -> None:
    """Let go of keepers that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from gateway.cli import main

    main()
