"""The README keeps its word: what it tells to paste works as printed, and prints what it shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.cli.options import DEMO_FILE
from gateway.config import load_config
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("benchmarks/results/*.md"),
    ]
)

DEFAULT_URL = "http://127.0.0.1:8787"
PATIENCE_SECONDS = 60

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
HEADING_LINK = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CHANGING = (
    (re.compile(r"chatcmpl-[0-9a-f]{24}"), "chatcmpl-ID"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r'"created": \d{10}'), '"created": TIME'),
)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningGateway]:
    """What `gateway serve --demo` starts, on another port."""
    config = yaml.safe_load(DEMO_FILE.read_text())
    with RunningGateway(tmp_path, config, arguments=("--demo",)) as gateway:
        yield gateway


def blocks(language: str) -> list[str]:
    """Return the README's code in a language."""
    return [code for found, code in BLOCK.findall(README) if found == language]


def masked(text: str) -> str:
    """Replace what differs from one run to the next."""
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return text


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("sqlite3")), reason="curl and sqlite3 are not installed"
)
def test_each_command_prints_what_is_shown_below_it(demo: RunningGateway) -> None:
    commands, outputs = blocks("sh"), blocks("text")
    assert len(commands) == len(outputs) == 3
    for command, output in zip(commands, outputs, strict=True):
        done = subprocess.run(
            ["bash", "-euc", command.replace(DEFAULT_URL, demo.url)],
            cwd=demo.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert masked(done.stdout).strip() == masked(output).strip()
        understand_all(demo.folder)


def test_the_code_for_sdks_leaves_a_request_with_its_feedback(demo: RunningGateway) -> None:
    pytest.importorskip("openai")
    pytest.importorskip("portkey_ai")
    [code] = blocks("python")
    subprocess.run(
        [sys.executable, "-c", code.replace(DEFAULT_URL, demo.url)],
        cwd=demo.folder,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    understand_all(demo.folder)
    [entry] = query(
        demo.folder / "gateway-demo.db", "SELECT target, value FROM feedback_report WHERE is_joined"
    )
    assert tuple(entry) == ("request", 1)


def test_the_configuration_is_one_that_the_gateway_takes(tmp_path: Path) -> None:
    [sample] = blocks("yaml")
    (tmp_path / "gateway.yaml").write_text(sample)
    secrets = {"GATEWAY_APP_KEY": "gw-app-0123456789", "GATEWAY_ADMIN_KEY": "gw-ops-0123456789"}
    config = load_config(tmp_path / "gateway.yaml", secrets)
    assert list(config.providers) == ["openai", "anthropic", "local"]
    assert config.feedback.portkey_scale == "thumbs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_headings_lead_to_one(page: Path) -> None:
    targets = [target for target in HEADING_LINK.findall(page.read_text()) if "://" not in target[0]]
    missing = [
        (file, anchor)
        for file, anchor in targets
        if anchor not in anchors(page.parent / file if file else page)
    ]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that a Markdown page's headings get, code left out."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def test_every_page_is_in_the_index() -> None:
    index = LINK.findall((ROOT / "docs/README.md").read_text())
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}
    assert pages - {"README.md"} - set(index) == set()


def understand_all(folder: Path) -> None:
    """Wait until nothing that is logged is still to be understood, as a person who types has to."""
    waiting = "SELECT count(*) FROM requests WHERE interpreted_at_us IS NULL"
    eventually(lambda: query(folder / "gateway-demo.db", waiting)[0][0] == 0)
