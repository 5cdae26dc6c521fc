"""The pages on feedback keep their word: their examples work as printed, and print what is shown below them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import query

ROOT = Path(__file__).parents[1]
NODE = ROOT / "examples/node"

DEFAULT_URL = "http://127.0.0.1:8787"
PATIENCE_SECONDS = 60
REFUSED_BY_CURL = 22

APP_KEY, ADMIN_KEY = "gw-app-0123456789", "gw-ops-0123456789"
CONFIG = {
    "keys": [
        {"name": "app", "key": APP_KEY, "role": ["proxy", "feedback"]},
        {"name": "ops", "key": ADMIN_KEY, "role": "admin"},
    ]
}

COMMANDS = {
    "sh": ("bash", "-euo", "pipefail", "-c"),
    "python": (sys.executable, "-c"),
    "js": ("node", "--input-type=module", "-e"),
}

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n```json\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z?")


@dataclass(frozen=True)
class Example:
    """A block of code, and the JSON that the page shows below it, if any."""

    language: str
    code: str
    printed: str


def examples(page: str) -> list[Example]:
    """Return the code on a page that can be run, in its order."""
    found = [Example(*groups) for groups in BLOCK.findall((ROOT / "docs" / page).read_text())]
    return [example for example in found if example.language in COMMANDS]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with the built-in provider and the two keys that the pages speak of."""
    with RunningGateway(tmp_path, CONFIG, arguments=("--demo",)) as running:
        yield running


def run(gateway: RunningGateway, example: Example, code: str) -> str:
    """Run an example against a gateway and return what it printed; it must succeed unless it shows a refusal."""
    (gateway.folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    done = subprocess.run(
        [*COMMANDS[example.language], code.replace(DEFAULT_URL, gateway.url)],
        cwd=NODE,
        env={
            **os.environ,
            "GATEWAY_APP_KEY": APP_KEY,
            "GATEWAY_ADMIN_KEY": ADMIN_KEY,
            "CURL_HOME": str(gateway.folder),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    is_refused = '"failure"' in example.printed or '"detail"' in example.printed
    expected = REFUSED_BY_CURL if is_refused else 0
    assert done.returncode == expected, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def values(text: str) -> list[object]:
    """Return the JSON values written one after the other in a text, without what differs from run to run."""
    text = TIME.sub("TIME", UUID.sub("UUID", text)).strip()
    found = []
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


@pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="bash and curl are not installed"
)
@pytest.mark.parametrize(("page", "least"), [("feedback.md", 10), ("helicone.md", 3)])
def test_each_command_prints_what_is_shown_below_it(gateway: RunningGateway, page: str, least: int) -> None:
    commands = [example for example in examples(page) if example.language == "sh"]
    assert len(commands) >= least
    ids: dict[str, str] = {}
    for example in commands:
        # A page shows ids; those who follow it put in the ones that they were given.
        output = run(gateway, example, UUID.sub(lambda shown: ids[shown[0]], example.code))
        if example.printed:
            assert values(output) == values(example.printed), example.code
            ids.update(zip(UUID.findall(example.printed), UUID.findall(output), strict=True))


def code_for_sdks() -> Iterator[object]:
    """The pages' code in other languages than the shell's, with the entries that each is to leave behind."""
    left = {
        "feedback.md": [
            [("trace-1", -2, 2), ("trace-1", 1, 1), ("trace-2", 0, 1)],
            [("trace-1", -2, 2)],
            [("trace-1", 1, 1), ("trace-2", 0, 1)],
        ],
        "helicone.md": [[("order-7", -1, 1)], [("order-7", 1, 1)]],
    }
    for page, entries in left.items():
        found = [example for example in examples(page) if example.language != "sh"]
        for number, (example, expected) in enumerate(zip(found, entries, strict=True), 1):
            yield pytest.param(example, expected, id=f"{page}-{example.language}-{number}")


@pytest.mark.parametrize(("example", "expected"), list(code_for_sdks()))
def test_the_code_for_sdks_leaves_its_entries(
    gateway: RunningGateway, example: Example, expected: list[tuple[str, int, int]]
) -> None:
    if example.language == "python" and not all(map(find_spec, ("portkey_ai", "requests"))):
        pytest.skip("the extra `sdk` is not installed")
    if example.language == "js" and not shutil.which("node"):
        pytest.skip("node is not installed")
    if "portkey-ai" in example.code and not (NODE / "node_modules").is_dir():
        pytest.skip("run `npm ci` in examples/node to install the SDKs")

    run(gateway, example, example.code)

    entries = query(gateway.database, "SELECT subject_id, value, version FROM feedback ORDER BY seq")
    assert [tuple(entry) for entry in entries] == expected
