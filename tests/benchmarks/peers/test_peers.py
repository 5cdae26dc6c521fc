from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers import litellm, portkey

PEERS = Path(portkey.__file__).parents[1]


def test_versions_are_those_that_are_installed() -> None:
    lock = json.loads((PEERS / "portkey/package-lock.json").read_text())
    assert lock["packages"]["node_modules/@portkey-ai/gateway"]["version"] == portkey.version()
    assert f"litellm[proxy]=={litellm.version()}" in (PEERS / "litellm/requirements.txt").read_text()


def test_all_listen_on_loopback(tmp_path: Path) -> None:
    assert litellm.LITELLM.command_of is not None
    command = litellm.LITELLM.command_of(tmp_path, 1234, 5678)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert portkey.PORTKEY.command_of is not None
    assert str(PEERS / "portkey/loopback.mjs") in portkey.PORTKEY.command_of(tmp_path, 1234, 5678)
