"""What the gateway says of itself, in a process of its own, since a process has one log."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAILING = """
import structlog
from gateway.config.models import LoggingConfig
from gateway.server.process import configure_logs

def fail(credential):
    raise ValueError("something is odd")

configure_logs(LoggingConfig(format={style!r}))
try:
    fail("Bearer canary-" + "1")
except ValueError:
    structlog.get_logger("gateway.test").exception("unexpected error", error_id="e-1")
"""


def log_of_a_failure(style: str) -> str:
    """What is logged of an exception that passed through a function with a secret in a local variable."""
    code = FAILING.format(style=style)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr


@pytest.mark.parametrize("style", ["json", "human"])
def test_a_traceback_tells_where_it_happened_and_holds_no_local_variable(style: str) -> None:
    written = log_of_a_failure(style)
    for word in ("unexpected error", "e-1", "something is odd", "ValueError", "fail"):
        assert word in written
    assert "canary-1" not in written


def test_a_json_log_has_one_event_a_line() -> None:
    [line] = log_of_a_failure("json").splitlines()
    event = json.loads(line)
    assert (event["level"], event["logger"]) == ("error", "gateway.test")
    assert event["exception"][0]["frames"][-1]["name"] == "fail"
