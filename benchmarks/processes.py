"""Servers under measurement: started with all they start themselves, watched through /proc and their processes'
clocks, ended by their pids."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 40.0
SETTLE_SECONDS = 20.0

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SCHEDULER_CLOCK = 2
_LOOK_SECONDS = 0.25
_IDLE_CPU_SECONDS = 0.02
"""CPU within one look below which a server counts as idle."""


class Failed(Exception):
    """A measurement could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server has used so far (CPU, user and system) and uses now (resident memory)."""

    cpu_seconds: float
    rss_bytes: int


class Server:
    """A server on a loopback port, with every process that it starts.

    Args:
        command: starts it in the foreground.
        port: where it will listen.
        log: file that takes what it writes.
    """

    def __init__(
        self, command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._port = port
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        """Start it, and return once it accepts connections. Raises Failed if it does not."""
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C then reaches this program alone, which ends its servers in order.
            try:
                self._process = subprocess.Popen(
                    self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
                )
            except FileNotFoundError:
                raise Failed(f"{self._command[0]} is missing") from None
        try:
            self._wait_until_listening()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the process that was started."""
        assert self._process is not None
        return self._process.pid

    def usage(self) -> Usage:
        """Add up what its processes use."""
        pids = tree_of(self.pid)
        stats = [stat for pid in pids if (stat := _stat(pid))]
        return Usage(
            cpu_seconds=sum(map(cpu_seconds, pids)),
            rss_bytes=sum(stat.rss_pages for stat in stats) * _PAGE_BYTES,
        )

    def settle(self, seconds: float = SETTLE_SECONDS) -> Usage:
        """Wait until it has finished what it does behind its answers, and return what it has used by then.

        Raises:
            Failed: it is still busy long after the load has ended.
        """
        give_up_at = time.monotonic() + seconds
        before = self.usage()
        while time.monotonic() < give_up_at:
            time.sleep(_LOOK_SECONDS)
            now = self.usage()
            if now.cpu_seconds - before.cpu_seconds < _IDLE_CPU_SECONDS:
                return now
            before = now
        raise Failed(f"{self._command[0]} was still busy {seconds:g} s after the load; see {self._log}")

    def stop(self) -> None:
        """End it and all it has started: first asked to, then by force."""
        process, self._process = self._process, None
        if process is None:
            return
        with _handles(tree_of(process.pid)[1:]) as started:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for handle in started:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], STOP_SECONDS)

    def _wait_until_listening(self) -> None:
        assert self._process is not None
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.05)
        raise Failed(
            f"{' '.join(self._command)} did not start:\n{self._log.read_text(errors='replace')[-2000:]}"
        )


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    rss_pages: int


def tree_of(root: int) -> list[int]:
    """Return the pids of a process and its descendants, itself first."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        if stat := _stat(pid):
            children.setdefault(stat.parent, []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of all threads that a process has had; 0 if it has gone.

    Read from the process's own clock, whose number Linux makes from the pid (clock_getcpuclockid(3)): it counts
    nanoseconds, /proc hundredths of a second.
    """
    try:
        return time.clock_gettime_ns(~pid << 3 | _SCHEDULER_CLOCK) / 1e9
    except OSError:
        return 0.0


@contextlib.contextmanager
def _handles(pids: Sequence[int]) -> Iterator[list[int]]:
    """Open a handle of each process, which stays its own when its pid has been given to another; readable once the
    process has ended (pidfd_open(2))."""
    with contextlib.ExitStack() as stack:
        handles = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
                stack.callback(os.close, handles[-1])
        yield handles


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM unwind this program as Ctrl-C does, so that what it started is ended."""

    def leave(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before: Callable[..., object] | int | None = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> _Stat | None:
    """Read /proc/PID/stat (proc(5)); None if the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the command's name, is in brackets and may hold spaces and brackets itself.
    fields = text.rpartition(")")[2].split()
    return _Stat(parent=int(fields[1]), rss_pages=int(fields[21]))
