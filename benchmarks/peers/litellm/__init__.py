"""LiteLLM's proxy: one worker, no database, no access log, nothing fetched; in an environment of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.contestant import Contestant
from benchmarks.peers.installing import install

_HERE = Path(__file__).parent
_VENV = _HERE / ".venv"
_WANTED = _HERE / "requirements.txt"

_QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"uvicorn.access": {"level": "CRITICAL", "propagate": False}},
}


def version() -> str:
    """Return the version that is measured."""
    return _WANTED.read_text().strip().partition("==")[2]


def _install() -> None:
    make = [sys.executable, "-m", "venv", str(_VENV)]
    fill = [str(_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(_WANTED)]
    install([make, fill], wanted=_WANTED, stamp=_VENV / ".installed")


def _command_of(folder: Path, port: int, upstream_port: int) -> list[str]:
    (folder / "logging.json").write_text(json.dumps(_QUIET))
    (folder / "litellm.yaml").write_text(
        f"""
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{upstream_port}/v1
      api_key: sk-bench
litellm_settings: {{telemetry: false}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
"""
    )
    return [
        str(_VENV / "bin" / "litellm"), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1",
        "--config", str(folder / "litellm.yaml"), "--log_config", str(folder / "logging.json"),
    ]  # fmt: skip


LITELLM = Contestant(
    "litellm",
    _command_of,
    prepare=_install,
    events_a_second=500,
    environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
)
