"""A backup that is taken while a gateway is busy, and the gateway that goes on from it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, wait_until_interpreted
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

from .promises import Promises, asking, call_until, check_file, check_kept

CALLERS = 4
BACKUPS = 3


def test_all_that_was_promised_before_a_backup_is_in_it_however_busy_the_gateway_is(
    start_gateway: StartGateway, upstream: UpstreamProcess, tmp_path: Path
) -> None:
    config = {"server": {"workers": 2}, "providers": {"up": {"base_url": f"{upstream.url}/v1"}}}
    gateway = start_gateway(config)
    promises, over = Promises(), threading.Event()
    taken: list[tuple[Path, Promises]] = []
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(call_until, over, gateway, upstream, promises, f"caller-{number}")
            for number in range(CALLERS)
        ]
        try:
            for number in range(BACKUPS):
                _wait_for(promises, 200 * (number + 1))
                promised = replace(promises, traces=promises.traces.copy(), votes=promises.votes.copy())
                target = tmp_path / f"backup-{number}.db"
                done = run_gateway("backup", "-c", "gateway.yaml", str(target), cwd=gateway.folder)
                assert (done.returncode, done.stderr) == (0, "")
                taken.append((target, promised))
        finally:
            over.set()
        for caller in callers:
            caller.result()
    assert promises.broken == 0, "a backup broke calls off"
    check_kept(asking(gateway), promises)
    check_file(gateway)

    for target, promised in taken:
        restored = _restored(start_gateway, upstream, target)
        check_kept(asking(restored), promised)
        check_file(restored)
        assert call(restored.port, _chat(upstream)).status == 200
        # Also what a second worker had not read yet, which the restored gateway has not.
        wait_until_interpreted(restored.database)


def _wait_for(promises: Promises, traces: int) -> None:
    eventually(lambda: len(promises.traces) > traces)


def _restored(start_gateway: StartGateway, upstream: UpstreamProcess, backup: Path) -> RunningGateway:
    """A gateway that was started on a backup."""
    gateway = start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}})
    refused = run_gateway("restore", "-c", "gateway.yaml", "--force", str(backup), cwd=gateway.folder)
    assert refused.returncode == 1
    assert "a gateway or another command has" in refused.stderr
    gateway.stop()
    done = run_gateway("restore", "-c", "gateway.yaml", "--force", str(backup), cwd=gateway.folder)
    assert done.returncode == 0, done.stderr
    assert os.stat(gateway.database).st_mode & 0o777 == 0o600
    return gateway.start()


def _chat(upstream: UpstreamProcess) -> bytes:
    return request(b"POST", b"/v1/chat/completions", upstream.script(*answer(b"{}")), body=b"{}")
