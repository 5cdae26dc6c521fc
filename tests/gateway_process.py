"""Real gateway processes for tests: started, asked for their address, ended by their pid."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.fork_server import INGESTER, ForkedProcess, start

START_SECONDS = 30
STOP_SECONDS = 30


class RunningGateway:
    """A gateway process on a free loopback port.

    Args:
        folder: its working directory: holds its YAML file, its database and its log.
        config: what the YAML file says; host, port and store are filled in.
        arguments: further arguments of `gateway serve`.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.database = folder / "gateway.db"
        self.config_file = folder / "gateway.yaml"
        self.log_file = folder / "gateway.log"
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._process: ForkedProcess | None = None
        self.url = ""
        self.write_config(config)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the YAML file; a running gateway reads it again at SIGHUP."""
        server = {"port": 0, "drain_seconds": 5, **config.get("server", {})}
        storage = {"url": f"sqlite:///{self.database}", **config.get("storage", {})}
        self.config_file.write_text(yaml.safe_dump({**config, "server": server, "storage": storage}))

    def start(self) -> RunningGateway:
        """Start the process and return once it answers."""
        arguments = ["serve", "-c", str(self.config_file), *self._arguments]
        with self.log_file.open("ab") as log:
            self._process = start(arguments, self.folder, self._environment, log)
        self.url = self._read_url(self._process)
        return self

    @property
    def pid(self) -> int:
        """Process id of the running gateway."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """Port on which it listens."""
        return int(self.url.rpartition(":")[2])

    def workers(self) -> list[int]:
        """Process ids of its workers, where it has several; those that have just begun included."""
        return [pid for pid in self._children() if not _is_ingester(pid)]

    def ingester(self) -> int | None:
        """Process id of its ingester; None while it has none."""
        return next(filter(_is_ingester, self._children()), None)

    def processes(self) -> list[int]:
        """Process ids of all of it."""
        return [self.pid, *self._children()]

    def _children(self) -> list[int]:
        if self._process is None:
            return []
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def log(self) -> str:
        """Return what it wrote to standard error so far."""
        return self.log_file.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._close_pipe()

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._close_pipe()
        return code

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        assert self._process is not None
        code = self._process.wait(STOP_SECONDS)
        self._close_pipe()
        return code

    def __enter__(self) -> RunningGateway:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_url(self, process: ForkedProcess) -> str:
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                if line.startswith("listening on "):
                    return line.removeprefix("listening on ").strip()
        finally:
            watchdog.cancel()
        process.wait(STOP_SECONDS)
        self._close_pipe()
        raise RuntimeError(f"the gateway did not start:\n{self.log()}")

    def _close_pipe(self) -> None:
        assert self._process is not None
        self._process.stdout.close()


def _is_ingester(pid: int) -> bool:
    try:
        # Of one that was forked; another says it in its arguments.
        names = Path(f"/proc/{pid}/comm").read_text(), Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return False
    return names[0].strip() == INGESTER or f"-m\0gateway.{INGESTER}" in names[1]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
