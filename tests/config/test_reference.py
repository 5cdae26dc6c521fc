"""The sample files and the page of the documentation say what the models say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
import yaml
from pydantic.fields import FieldInfo

from gateway.config import ConfigError, load_config
from gateway.config.key_paths import fields_of, inner_section
from gateway.config.models import Config, Section
from gateway.config.reference import to_markdown
from gateway.models.webhooks import new_secret

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config" / "gateway.yaml"
PAGE = ROOT / "docs" / "configuration.md"
REFERENCE = ROOT / "docs" / "reference" / "configuration.md"

CHOSEN_FOR_THE_SAMPLE = {"routes", 
    "default_provider", "keys", "prices", "alerts.above", "alerts.where", "alerts.group_by", "alerts.window",
    "alerts.renotify", "alerts.description", "rules",
}  # fmt: skip
"""Keys whose value in the sample is an example, since the default would show nothing."""


def all_fields(
    section: type[Section], example: object, where: str = ""
) -> Iterator[tuple[str, FieldInfo, object]]:
    """Each field below a section with its dotted name and its value in the fullest example that there is."""
    assert isinstance(example, dict), where
    for key, info in fields_of(section).items():
        name = f"{where}{key}"
        assert key in example, f"{name} is not in {SAMPLE.name}"
        yield name, info, example[key]
        if inner := inner_section(info.annotation):
            yield from all_fields(inner, fullest(inner, example[key]), f"{name}.")


def fullest(section: type[Section], value: object) -> object:
    if isinstance(value, list):
        return max(value, key=len)
    if isinstance(value, dict) and value.keys().isdisjoint(fields_of(section)):
        return max(value.values(), key=len)
    return value


def with_comments_taken_away() -> str:
    return re.sub(r"^( *)#(?=\w|  )", r"\1", SAMPLE.read_text(), flags=re.MULTILINE)


def plain(default: object) -> object:
    if isinstance(default, tuple):
        return list(default)
    return default.value if isinstance(default, Enum) else default


def test_the_sample_works_as_it_is_without_any_variable() -> None:
    config = load_config(SAMPLE, {})
    assert list(config.providers) == ["openai", "anthropic", "local"]
    assert config.default_provider == "openai"
    assert config.keys == ()
    assert config.providers["openai"].api_key is None
    assert config.providers["local"].timeouts.total == 600


def test_the_sample_takes_its_keys_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(with_comments_taken_away())
    env = {"GATEWAY_APP_KEY": "gw-app", "GATEWAY_ADMIN_KEY": "gw-ops", "ANTHROPIC_API_KEY": "sk-ant"}
    env["WEBHOOK_SECRET"] = new_secret()
    config = load_config(file, env)
    assert [(key.name, key.key.get_secret_value()) for key in config.keys] == [
        ("app", "gw-app"),
        ("ops", "gw-ops"),
    ]
    assert config.providers["anthropic"].api_key is not None
    with pytest.raises(ConfigError, match="GATEWAY_APP_KEY is not set"):
        load_config(file, {})


def test_the_sample_has_every_key_with_its_default() -> None:
    sample = yaml.safe_load(with_comments_taken_away().replace("${OPENAI_API_KEY:-}", ""))
    for name, info, value in all_fields(Config, sample):
        if info.is_required() or inner_section(info.annotation) or name in CHOSEN_FOR_THE_SAMPLE:
            continue
        expected = plain(info.get_default(call_default_factory=True, validated_data={}))
        assert (value or None) == (expected or None), name


def test_the_sample_explains_every_key() -> None:
    lines = SAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"  [a-z_]+: ", line) and not lines[number - 1].strip():
            pytest.fail(f"{SAMPLE.name}:{number + 1} begins a group of keys without a comment: {line}")


def test_the_minimal_file_works() -> None:
    config = load_config(ROOT / "config" / "minimal.yaml", {})
    assert list(config.providers) == ["openai"]
    assert config.feedback.portkey_scale == "thumbs"


def test_the_page_has_the_tables_of_the_models() -> None:
    assert REFERENCE.read_text().endswith(f"-->\n\n{to_markdown()}"), (
        "docs/reference/configuration.md is behind the models; its tables are what reference.to_markdown() returns"
    )


def test_every_field_has_a_description_that_is_a_sentence() -> None:
    rows = [line for line in to_markdown().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert all(re.search(r"\| [A-Za-z`][^|]+\. \|$", row) for row in rows), rows


def test_the_messages_on_the_page_are_those_that_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gateway.yaml").write_text(
        "server:\n  port: 99999\nproviders:\n  local:\n    base_ur: http://127.0.0.1:11434/v1\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(Path("gateway.yaml"), {"GATEWAY__STORAGE__DURABILITY": "always"})
    assert f"```text\n{caught.value}\n```" in PAGE.read_text()
